/** Answers without end in parts, so that a browser lays out the last one only when more comes. */

const PART_CHARS = 8192;
/** A part that has no space where it may end, ends anyway. */
const MOST_CHARS = 4 * PART_CHARS;

/**
 * Where the text of an element goes: the element itself, and when that has become long, blocks in it (`.part`).
 *
 * A browser lays out a paragraph as a whole. One of 500,000 characters would take longer with each token.
 */
export class Parts {
  #element;
  #part;
  #chars = 0;

  constructor(element) {
    this.#element = this.#part = element;
  }

  /** The node that the next `length` characters are appended to. */
  next(length) {
    if (this.#chars > MOST_CHARS || (this.#chars > PART_CHARS && endsInSpace(this.#part))) this.#begin();
    this.#chars += length;
    return this.#part;
  }

  #begin() {
    this.#part = document.createElement("span");
    this.#part.className = "part";
    this.#element.append(this.#part);
    this.#chars = 0;
  }
}

const SECTION_BLOCKS = 64;

/** Where the blocks of an answer go: the element itself, and when it has many, sections in it (`.section`). */
export class Sections {
  #element;
  #section;

  constructor(element) {
    this.#element = this.#section = element;
  }

  /** The node that the next block is appended to. */
  get element() {
    if (this.#section.childElementCount >= SECTION_BLOCKS) {
      this.#section = document.createElement("div");
      this.#section.className = "section";
      this.#element.append(this.#section);
    }
    return this.#section;
  }
}

function endsInSpace({ lastChild }) {
  return lastChild?.nodeType === Node.TEXT_NODE && /\s$/.test(lastChild.substringData(lastChild.length - 1, 1));
}
