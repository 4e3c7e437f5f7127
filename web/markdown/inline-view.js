/** Growing inline text in an element. What is settled is never touched again; only what follows is shown anew. */

import { Parts } from "../parts.js";
import { appendText, emit } from "./emit.js";
import { parseInline } from "./inline.js";

/** Text that long is not parsed anew each time that it grows, but each time that it has grown by a quarter. */
const EAGER_CHARS = 2048;
const GROWTH = 1.25;

export class InlineView {
  #layout;
  #target;
  #source = [];
  #chars = 0;
  #parsedChars = 0;
  #unparsed = [];
  #shown = [];
  #raw = null;
  #exact = true;

  constructor(element) {
    this.#layout = new Parts(element);
    this.#target = element;
  }

  append(text) {
    if (text === "") return;
    this.#source.push(text);
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
    const text = this.#source.join("");
    const { tokens, settled } = parseInline(text, !exact);
    for (const node of this.#shown) node.remove();
    this.#target = this.#layout.next(settled.chars);
    emit(tokens.slice(0, settled.tokens), this.#target);
    const rest = document.createDocumentFragment();
    emit(tokens.slice(settled.tokens), rest);
    this.#shown = [...rest.childNodes];
    this.#target.append(rest);
    this.#raw = null;
    this.#source = [text.slice(settled.chars)];
    this.#chars = this.#parsedChars = this.#source[0].length;
  }

  /** Show what came since the last time as plain text, until it is parsed. */
  #showRaw() {
    if (!this.#raw) {
      this.#raw = document.createElement("span");
      this.#shown.push(this.#raw);
      this.#target.append(this.#raw);
    }
    for (const text of this.#unparsed) appendText(this.#raw, text);
  }
}
