/** Text that grows fast: pieces are shown once a frame, however many come. */

const NODE_CHARS = 4096;

export class GrowingText {
  #element;
  #changed;
  #shown = [];
  #pending = "";
  #node = null;
  #frame = 0;

  /** `changed` is called when more of it shows in `element`. */
  constructor(element, changed) {
    this.#element = element;
    this.#changed = changed;
  }

  /** All of it, shown or not yet. */
  get value() {
    return this.#shown.join("") + this.#pending;
  }

  append(piece) {
    this.#pending += piece;
    // A hidden tab has no frames: it catches up when it is looked at, or at the end.
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  /** Show what is there now. */
  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (!this.#pending) return;
    // Appending to one ever longer node would copy all of it each time.
    if (this.#node === null || this.#node.length > NODE_CHARS) {
      this.#node = new Text();
      this.#element.append(this.#node);
    }
    this.#node.appendData(this.#pending);
    this.#shown.push(this.#pending);
    this.#pending = "";
    this.#changed();
  }
}
