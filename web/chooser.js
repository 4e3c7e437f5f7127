/** Which provider and model to ask, and what is wrong with the provider if something is. */

import { sentence } from "./messages.js";

const find = (id) => document.getElementById(id);

export class Chooser {
  #provider = find("provider");
  #model = find("model");
  #useReady = find("use-ready");
  #providers = [];

  constructor() {
    this.#provider.addEventListener("change", () => this.#show());
    this.#useReady.addEventListener("click", () => {
      this.#provider.value = this.#ready.name;
      this.#show();
      this.#provider.focus();
    });
  }

  /** Offer what `GET /api/providers` lists, its default chosen, or what was chosen before. */
  offer({ default: preferred, providers }) {
    const before = this.#providers.length ? this.#provider.value : preferred;
    this.#providers = providers;
    this.#provider.replaceChildren(...providers.map(option));
    this.#provider.value = providers.some(({ name }) => name === before) ? before : preferred;
    this.#provider.disabled = this.#model.disabled = false;
    this.#show();
  }

  /** The request's fields; none while no provider is known, so that the server chooses. */
  get fields() {
    const chosen = this.#chosen;
    if (!chosen) return {};
    const model = this.#model.value;
    return { provider: chosen.name, ...(model === chosen.model ? {} : { model }) };
  }

  get #chosen() {
    return this.#providers.find(({ name }) => name === this.#provider.value);
  }

  /** One that works; one that needs nothing at all if there is one. */
  get #ready() {
    const ready = this.#providers.filter((each) => each.ready);
    return ready.find(({ kind }) => kind === "echo") ?? ready[0];
  }

  #show() {
    const { name, model, models } = this.#chosen;
    const offered = new Set([model, ...(models ?? [])]);
    const before = this.#model.value;
    this.#model.replaceChildren(...[...offered].map((each) => new Option(each, each)));
    if (offered.has(before)) this.#model.value = before;
    const problem = problemOf(this.#chosen);
    find("provider-dot").classList.toggle("ready", !problem);
    find("not-ready").hidden = !problem;
    find("provider-reason").textContent = problem ? sentence(`${name} is not ready: ${problem}`) : "";
    this.#useReady.hidden = !this.#ready;
    if (this.#ready) this.#useReady.textContent = `Use ${this.#ready.name} instead`;
  }
}

function option(provider) {
  const problem = problemOf(provider);
  return new Option(problem ? `${provider.name} (not ready: ${problem})` : provider.name, provider.name);
}

/** Why a provider cannot be asked, or null. */
function problemOf({ ready, reason, breaker }) {
  if (!ready) return reason;
  if (breaker?.state !== "open") return null;
  return `its last ${breaker.failures} requests failed, and it is asked again in ${Math.ceil(breaker.retry_in ?? 0)} s`;
}
