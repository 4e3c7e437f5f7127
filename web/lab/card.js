/** A card of the lab: what is tried, what a user would see of it, and what happened. */

import { Facts, make } from "../elements.js";

/** What a user of an application would see: a text that grows, and a line that says how it stands. */
export class Screen {
  element;
  #text;
  #state = make("p", { className: "lab-state", role: "status" });

  constructor(title) {
    this.#text = make("div", { className: "lab-text", tabIndex: 0, role: "group", ariaLabel: `${title}: the text` });
    this.element = make("div", { className: "lab-screen" }, make("h4", { textContent: title }), this.#text, this.#state);
  }

  get text() {
    return this.#text.textContent;
  }

  clear() {
    this.#text.replaceChildren();
    this.say("");
  }

  append(piece) {
    this.#text.append(piece);
    this.#text.scrollTop = this.#text.scrollHeight;
  }

  /** Say how it stands; `tone` is `good`, `bad` or nothing. */
  say(text, tone = "") {
    this.#state.textContent = text;
    this.#state.dataset.tone = tone;
  }
}

/** A card with a button that runs an experiment, and another that stops it. */
export class Card {
  element;
  #button;
  #stop = make("button", { type: "button", textContent: "Stop it", hidden: true });
  #screen = new Screen("What your user sees");
  #facts = new Facts();
  #result;

  /** `run({screen, facts, signal})` performs the experiment. */
  constructor({ title, text, run }) {
    this.#button = make("button", { type: "button", className: "primary", textContent: title });
    this.#result = make("div", { className: "lab-result", hidden: true }, this.#screen.element, this.#facts.element);
    const head = make("div", { className: "lab-head" }, this.#button, this.#stop);
    this.element = make("section", { className: "lab-card" }, make("h3", { textContent: title }), make("p", { textContent: text }), head, this.#result);
    this.#button.addEventListener("click", () => this.#run(run));
  }

  async #run(run) {
    const leaving = new AbortController();
    const dialog = this.element.closest("dialog");
    const leave = () => leaving.abort();
    dialog?.addEventListener("close", leave, { once: true });
    this.#stop.onclick = leave;
    this.#show(true);
    try {
      await run({ screen: this.#screen, facts: this.#facts, signal: leaving.signal });
    } catch (error) {
      this.#screen.say(leaving.signal.aborted ? "You stopped it." : error.message, "bad");
    } finally {
      dialog?.removeEventListener("close", leave);
      this.#show(false);
    }
  }

  #show(running) {
    if (running) {
      this.#screen.clear();
      this.#facts.clear();
    }
    this.#result.hidden = false;
    this.#button.disabled = running;
    const hadFocus = document.activeElement === this.#stop;
    this.#stop.hidden = !running;
    if (hadFocus && !running) this.#button.focus();
  }
}
