/** Which provider to ask, and what is wrong with it if something is. */

import { sentence } from "./words.js";

export class Chooser {
  #select = document.getElementById("provider");
  #dot = document.getElementById("provider-dot");
  #notReady = document.getElementById("not-ready");
  #reason = document.getElementById("provider-reason");
  #useReady = document.getElementById("use-ready");
  #providers = [];

  constructor() {
    this.#select.addEventListener("change", () => this.#show());
    this.#useReady.addEventListener("click", () => {
      this.#select.value = this.#ready.name;
      this.#show();
      this.#select.focus();
    });
  }

  /** Offer what `GET /api/providers` lists, its default chosen, or what was chosen before. */
  offer({ default: preferred, providers }) {
    const before = this.#providers.length ? this.#select.value : preferred;
    this.#providers = providers;
    this.#select.replaceChildren(...providers.map(option));
    this.#select.value = providers.some(({ name }) => name === before) ? before : preferred;
    this.#select.disabled = false;
    this.#show();
  }

  /** The chosen provider's name, null while none are known. */
  get name() {
    return this.#chosen?.name ?? null;
  }

  get #chosen() {
    return this.#providers.find(({ name }) => name === this.#select.value);
  }

  /** One that works; one that needs nothing at all if there is one. */
  get #ready() {
    const ready = this.#providers.filter((each) => each.ready);
    return ready.find(({ kind }) => kind === "echo") ?? ready[0];
  }

  #show() {
    const { name, ready, reason } = this.#chosen;
    this.#dot.classList.toggle("ready", ready);
    this.#notReady.hidden = ready;
    this.#reason.textContent = ready ? "" : sentence(`${name} is not ready: ${reason}`);
    this.#useReady.hidden = !this.#ready;
    if (this.#ready) this.#useReady.textContent = `Use ${this.#ready.name} instead`;
  }
}

function option({ name, model, ready, reason }) {
  const label = name === model ? name : `${name} · ${model}`;
  return new Option(ready ? label : `${label} (${reason})`, name);
}
