/** What a screen reader is told: changes of state, and the answer in whole sentences instead of tokens. */

/** Shorter sentences are told together. */
const LEAST_CHARS = 100;
/** A sentence without an end is cut at a space. */
const MOST_CHARS = 500;
/** More is not read out while it comes: it can be read where it is. */
const SPOKEN_CHARS = 3000;
const KEPT = 3;
const SENTENCE_END = /^[^]*(?:[.!?…:]["'”’)\]*_]*\s|\n)/u;

/** `status` is a live region for states, `log` one of which additions are read out. */
export class Announcer {
  #status;
  #log;
  #pending = "";
  #spoken = 0;

  constructor(status, log) {
    this.#status = status;
    this.#log = log;
  }

  /** Tell a state, in a sentence. */
  say(text) {
    this.#status.textContent = text;
  }

  /** A new answer begins: forget the one before. */
  begin() {
    this.#pending = "";
    this.#spoken = 0;
    this.#log.replaceChildren();
  }

  /** A piece of the answer has come. */
  hear(piece) {
    if (this.#spoken > SPOKEN_CHARS) return;
    this.#pending += piece;
    if (this.#pending.length < LEAST_CHARS) return;
    const whole = SENTENCE_END.exec(this.#pending)?.[0].length ?? 0;
    if (whole >= LEAST_CHARS) this.#read(whole);
    else if (this.#pending.length > MOST_CHARS) this.#read(this.#pending.lastIndexOf(" ") + 1 || MOST_CHARS);
  }

  /** The answer has ended: `text` says how. */
  end(text) {
    this.#read(this.#pending.length);
    this.say(text);
  }

  #read(length) {
    const text = plain(this.#pending.slice(0, length));
    this.#pending = this.#pending.slice(length);
    this.#spoken += length;
    if (!text) return;
    const paragraph = document.createElement("p");
    paragraph.textContent = this.#spoken > SPOKEN_CHARS ? `${text} The answer goes on.` : text;
    this.#log.append(paragraph);
    while (this.#log.childElementCount > KEPT) this.#log.firstElementChild.remove();
  }
}

/** Without the marks of Markdown, which would be spelt out. */
const plain = (text) => text.replace(/[*_`#>|~]+/g, "").replace(/\s+/g, " ").trim();
