/** The current request, to be used elsewhere. */

import { addressOf, hasKey } from "../api.js";
import { copyOnClick } from "../copy.js";
import { make } from "../elements.js";
import { exchanges } from "../exchange.js";
import { LANGUAGES } from "./languages.js";

const EXAMPLE = "Explain backpressure as if I ran a small bakery.";

/** Fill `body` whenever `dialog` opens; `draft()` is the request that would be sent now, its prompt perhaps empty. */
export function mountSnippets(dialog, body, draft) {
  const view = new SnippetsView();
  body.append(...view.elements);
  dialog.addEventListener("open", () => view.show({ root: addressOf(""), body: clean(current(draft())), withKey: hasKey() }));
}

/** What is being written, else what was asked last, else an example. */
function current(draft) {
  if (draft.prompt.trim()) return draft;
  return exchanges.current?.body ?? { ...draft, prompt: EXAMPLE };
}

/** Without fields that are not set, and without half characters, which no language can write down. */
const clean = (body) => JSON.parse(JSON.stringify(body, (key, value) => (typeof value === "string" ? wellFormed(value) : value)));

const wellFormed = (text) => text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");

class SnippetsView {
  #tabs = LANGUAGES.map(({ name }) => make("button", { type: "button", role: "tab", textContent: name, "aria-controls": "snippet" }));
  #hint = make("p", { className: "snippet-hint" });
  #code = make("code", { dir: "ltr" });
  #copy = make("button", { type: "button", className: "primary", textContent: "Copy snippet" });
  #panel = make("div", { id: "snippet", role: "tabpanel", className: "snippet" });
  #chosen = 0;
  #request = null;

  constructor() {
    const list = make("div", { role: "tablist", ariaLabel: "Languages and libraries", className: "snippet-tabs" }, ...this.#tabs);
    const pre = make("pre", { tabIndex: 0 }, this.#code);
    this.#panel.append(this.#hint, pre, this.#copy);
    this.elements = [list, this.#panel];
    this.#tabs.forEach((tab, index) => tab.addEventListener("click", () => this.#choose(index)));
    list.addEventListener("keydown", (event) => this.#move(event));
    copyOnClick(this.#copy, () => this.#code.textContent, this.#code);
  }

  show(request) {
    this.#request = request;
    this.#choose(this.#chosen);
  }

  #choose(index) {
    this.#chosen = index;
    this.#tabs.forEach((tab, number) => {
      tab.ariaSelected = String(number === index);
      tab.tabIndex = number === index ? 0 : -1;
    });
    const { name, hint, write } = LANGUAGES[index];
    this.#panel.ariaLabel = name;
    this.#hint.textContent = this.#request.withKey ? `${hint} Put your API key in the place of YOUR_KEY.` : hint;
    this.#code.textContent = write(this.#request);
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (this.#chosen + step + this.#tabs.length) % this.#tabs.length;
    this.#choose(next);
    this.#tabs[next].focus();
  }
}
