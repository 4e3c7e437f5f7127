/** Text that grows fast: pieces are shown once a frame, however many come. */

import { Parts } from "./parts.js";

const NODE_CHARS = 4096;
/** The most characters that are shown in a frame, so that a burst does not freeze the page. */
export const FRAME_CHARS = 16_384;
/** How long a frame is waited for: a hidden tab has none. */
const NO_FRAME_MS = 200;

export class GrowingText {
  #parts;
  #changed;
  #source = [];
  #pending = "";
  #node = null;
  #frame = 0;

  /** `changed` is called when more of it shows in `element`. */
  constructor(element, changed) {
    this.#parts = new Parts(element);
    this.#changed = changed;
  }

  /** All of it, shown or not yet. */
  get value() {
    return this.#source.join("");
  }

  append(piece) {
    if (!piece) return;
    this.#source.push(piece);
    this.#pending += piece;
    // A hidden tab has no frames: it catches up when it is looked at, or at the end.
    this.#frame ||= requestAnimationFrame(() => this.#grow());
  }

  /** Show what is there now. */
  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#pending) this.#show(this.#pending.length);
  }

  /** Show all of it, over as many frames as that takes. */
  async finish() {
    await fewLeft(() => this.#pending.length);
    this.flush();
  }

  #grow() {
    this.#frame = 0;
    this.#show(FRAME_CHARS);
    if (this.#pending) this.#frame = requestAnimationFrame(() => this.#grow());
  }

  #show(chars) {
    const text = this.#pending.slice(0, chars);
    this.#pending = this.#pending.slice(chars);
    const part = this.#parts.next(text.length);
    // Appending to one ever longer node would copy all of it each time.
    if (this.#node?.parentNode !== part || this.#node.length > NODE_CHARS) {
      this.#node = new Text();
      part.append(this.#node);
    }
    this.#node.appendData(text);
    this.#changed();
  }
}

/** Wait until `pending()` characters are no more than one frame takes, or the tab is hidden. */
export async function fewLeft(pending) {
  while (pending() > FRAME_CHARS && !document.hidden) {
    await new Promise((resolve) => {
      requestAnimationFrame(resolve);
      setTimeout(resolve, NO_FRAME_MS);
    });
  }
}
