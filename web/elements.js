/** Elements that are made by code. */

/** An element with attributes, and children in it. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** What happened, as names and values. */
export class Facts {
  element = make("dl", { className: "facts" });
  #values = new Map();

  clear() {
    this.element.replaceChildren();
    this.#values.clear();
  }

  /** The value of `name`, as it is shown. */
  value(name) {
    return this.#values.get(name)?.textContent;
  }

  set(name, value) {
    if (!this.#values.has(name)) {
      const cell = make("dd");
      this.#values.set(name, cell);
      this.element.append(make("div", {}, make("dt", { textContent: name }), cell));
    }
    this.#values.get(name).textContent = String(value);
  }
}
