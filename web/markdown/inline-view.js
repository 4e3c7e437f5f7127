/** Growing inline text in an element. What is settled is never touched again; only what follows is shown anew. */

import { appendText, emit } from "./emit.js";
import { parseInline } from "./inline.js";

/** Text that long is not parsed anew each time that it grows, but each time that it has grown by a quarter. */
const EAGER_CHARS = 2048;
const GROWTH = 1.25;

export class InlineView {
  #element;
  #parts = [];
  #chars = 0;
  #parsedChars = 0;
  #unparsed = [];
  #shown = [];
  #raw = null;
  #exact = true;

  constructor(element) {
    this.#element = element;
  }

  append(text) {
    if (text === "") return;
    this.#parts.push(text);
    this.#unparsed.push(text);
    this.#chars += text.length;
  }

  /** Show all of it. `exact`: as if it ended here; else as text that goes on. */
  render(exact) {
    if (!this.#unparsed.length && this.#exact === exact) return;
    const grown = this.#chars < EAGER_CHARS || this.#chars >= this.#parsedChars * GROWTH;
    if (exact || grown) this.#parse(exact);
    else this.#showRaw();
    this.#unparsed = [];
    this.#exact = exact;
  }

  #parse(exact) {
    const text = this.#parts.join("");
    const { tokens, settled } = parseInline(text, !exact);
    for (const node of this.#shown) node.remove();
    emit(tokens.slice(0, settled.tokens), this.#element);
    const rest = document.createDocumentFragment();
    emit(tokens.slice(settled.tokens), rest);
    this.#shown = [...rest.childNodes];
    this.#element.append(rest);
    this.#raw = null;
    this.#parts = [text.slice(settled.chars)];
    this.#chars = this.#parsedChars = this.#parts[0].length;
  }

  /** Show what came since the last time as plain text, until it is parsed. */
  #showRaw() {
    if (!this.#raw) {
      this.#raw = document.createElement("span");
      this.#shown.push(this.#raw);
      this.#element.append(this.#raw);
    }
    for (const text of this.#unparsed) appendText(this.#raw, text);
  }
}
