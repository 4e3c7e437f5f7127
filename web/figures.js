/** The six figures under an answer. On a narrow screen they fold into one line. */

import { duration, speed, usage } from "./messages.js";

const NARROW = matchMedia("(max-width: 40rem)");
/** The figures of the one line. */
const LINE = ["ttft", "speed", "elapsed", "usage"];

export class Figures {
  #element;
  #cells = new Map();
  #line;

  /** `element` is the turn's `details`. */
  constructor(element) {
    this.#element = element;
    this.#line = element.querySelector(".line");
    for (const cell of element.querySelectorAll("dd")) this.#cells.set(cell.classList[0], cell);
    this.#fold();
    NARROW.addEventListener("change", this.#fold);
  }

  remove() {
    NARROW.removeEventListener("change", this.#fold);
  }

  set ttft(ms) {
    this.#set("ttft", ms === null ? "" : duration(ms));
  }

  set elapsed(ms) {
    this.#set("elapsed", ms === null ? "" : duration(ms));
  }

  /** Tokens per second; `about` while they are counted by their pieces. */
  setSpeed(perSecond, about = false) {
    this.#set("speed", perSecond === null ? "" : `${about ? "≈ " : ""}${speed(perSecond)}`);
  }

  set usage(counts) {
    this.#set("usage", counts ? usage(counts) : "");
    if (!counts?.estimated) return;
    const mark = document.createElement("small");
    mark.textContent = " estimated";
    this.#cells.get("usage").append(mark);
  }

  set ending(word) {
    this.#set("finish", word ?? "");
  }

  set request(id) {
    this.#cells.get("request").querySelector("code").textContent = id ?? "";
    this.#element.querySelector(".request-row").hidden = !id;
  }

  #set(name, text) {
    this.#cells.get(name).textContent = text;
    if (LINE.includes(name)) this.#line.textContent = this.#summary() || "Figures";
  }

  #summary() {
    return LINE.map((name) => this.#cells.get(name).textContent)
      .filter(Boolean)
      .join(" · ");
  }

  #fold = () => {
    this.#element.open = !NARROW.matches;
  };
}
