/** Markdown that grows: shown as DOM nodes, once a frame, however many pieces come. */

import { FRAME_CHARS, fewLeft } from "../text.js";
import { Blocks } from "./blocks.js";

/** What may hold the newest text, from the outside to the inside. */
const BLOCKS = "div, blockquote, ul, ol, li, p, h2, h3, h4, h5, h6, pre, table, thead, tbody, tr, th, td";

/**
 * The view of an answer in Markdown. Blocks that are complete are never touched again; the work is linear in the
 * length of the answer. Raw HTML is text, links open only http, https and mailto, images are links.
 */
export class MarkdownView {
  #element;
  #changed;
  #source = [];
  #pending = "";
  #frame = 0;
  #blocks;
  #ended = false;
  #newest = null;

  /** `changed` is called when more of it shows in `element`. */
  constructor(element, changed = () => {}) {
    this.#element = element;
    this.#changed = changed;
    this.#blocks = new Blocks(element);
  }

  /** The source, shown or not yet. */
  get value() {
    return this.#source.join("");
  }

  append(piece) {
    if (piece === "") return;
    if (this.#ended) this.#restart();
    this.#source.push(piece);
    this.#pending += piece;
    // A hidden tab has no frames: it catches up when it is looked at, or at the end.
    this.#frame ||= requestAnimationFrame(() => this.#grow());
  }

  /** Show what is there now, as if it ended here. */
  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#blocks.append(this.#pending);
    this.#pending = "";
    this.#ended = this.#blocks.undecided;
    this.#blocks.render(true);
    this.#mark(null);
    this.#changed();
  }

  /** Show all of it, over as many frames as that takes, as if it ended there. */
  async finish() {
    await fewLeft(() => this.#pending.length);
    this.flush();
  }

  /** Show more of what is there, as text that goes on. */
  #grow() {
    this.#frame = 0;
    this.#blocks.append(this.#pending.slice(0, FRAME_CHARS));
    this.#pending = this.#pending.slice(FRAME_CHARS);
    this.#blocks.render(false);
    this.#mark(this.#innermost());
    this.#changed();
    if (this.#pending) this.#frame = requestAnimationFrame(() => this.#grow());
  }

  /** The block at the end of the last block, and so on. */
  #innermost() {
    let block = this.#element;
    while (block.lastElementChild?.matches(BLOCKS)) block = block.lastElementChild;
    return block;
  }

  /** Mark `block`, where a caret may stand, and no other. */
  #mark(block) {
    if (block === this.#newest) return;
    this.#newest?.removeAttribute("data-newest");
    block?.setAttribute("data-newest", "");
    this.#newest = block;
  }

  /** The end that {@link flush} took for one was none, and what it showed there may be something else. */
  #restart() {
    this.#ended = false;
    this.#element.replaceChildren();
    this.#blocks = new Blocks(this.#element);
    this.#pending = this.value;
  }
}
