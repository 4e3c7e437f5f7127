/** The tool calls of an answer. What a model wrote becomes text nodes, never HTML. */

import { indented } from "./json.js";
import { GrowingText } from "./text.js";

export class Calls {
  #box;
  #changed;
  #calls = new Map();

  constructor(box, changed) {
    this.#box = box;
    this.#changed = changed;
  }

  /** The calls so far: `[{index, id, name, arguments}]`. */
  get value() {
    return [...this.#calls].map(([index, { id, name, text }]) => ({ index, id, name, arguments: text.value }));
  }

  /** A piece of a call has come. */
  append({ index, id, name, arguments: piece }) {
    const call = this.#calls.get(index) ?? this.#begin(index);
    if (id) call.id = id;
    if (name) call.element.querySelector(".call-name").textContent = call.name = name;
    call.text.append(piece ?? "");
  }

  /** Nothing more comes: show arguments that are whole JSON with a field a line. */
  finish() {
    for (const { text, element } of this.#calls.values()) {
      text.flush();
      const pretty = indented(text.value);
      if (pretty !== null) element.querySelector("pre").textContent = pretty;
    }
  }

  #begin(index) {
    const element = document.getElementById("call").content.firstElementChild.cloneNode(true);
    const call = { id: null, name: "", element, text: new GrowingText(element.querySelector("pre"), this.#changed) };
    this.#calls.set(index, call);
    this.#box.append(element);
    return call;
  }
}
