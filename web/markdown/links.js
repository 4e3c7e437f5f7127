/** Addresses in Markdown, and which of them a page may link to. */

import { withEntities } from "./entities.js";

const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const MAX_ADDRESS = 4096;
const MAX_PARENTHESES = 32;
const PUNCTUATED = /[!-/:-@[-`{-~]/;
const BRACKETED = /<(?:(https?:\/\/[^\s<>]{1,4000}|mailto:[^\s<>]{1,400})|([\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}))>/iy;
const BARE = /https?:\/\/[^\s<>"`]+/iy;

/** `address` as a link may carry it; null unless it is http, https or mailto. */
export function addressOf(address) {
  // Without this, `URL` would drop white space and control characters, and read on.
  if (!/^(?:https?:\/\/|mailto:)[^\p{Cc}\s]+$/iu.test(address)) return null;
  try {
    const url = new URL(address);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** `<https://…>` or `<name@host>` at `index`: `{address, text, end}`, else null. */
export function bracketedAddressAt(text, index) {
  BRACKETED.lastIndex = index;
  const found = BRACKETED.exec(text);
  if (!found) return null;
  const address = addressOf(found[1] ?? `mailto:${found[2]}`);
  return address && { address, text: found[1] ?? found[2], end: BRACKETED.lastIndex };
}

/** A bare `https://…` at `index`, which is no part of a word, without the punctuation after it; its address may be null. */
export function bareAddressAt(text, index, limit, inBrackets) {
  if (index > 0 && /[\p{L}\p{N}_:/.@-]/u.test(text[index - 1])) return null;
  BARE.lastIndex = index;
  let found = BARE.exec(text)?.[0].slice(0, limit - index) ?? "";
  if (inBrackets) found = found.split("]", 1)[0];
  found = withoutPunctuation(found);
  if (!found) return null;
  return { address: found.length > MAX_ADDRESS ? null : addressOf(found), text: found, end: index + found.length };
}

function withoutPunctuation(found) {
  let unbalanced = found.split(")").length - found.split("(").length;
  let end = found.length;
  while (end > 0) {
    const last = found[end - 1];
    if (last === ")" && unbalanced > 0) unbalanced -= 1;
    else if (!"?!.,:;*_~'\"".includes(last)) break;
    end -= 1;
  }
  return found.slice(0, end);
}

/**
 * A link's `address "title")` at `index`: `{address, title, end}`, or null if there is none. If it may still become
 * one, and more text is to come, `{incomplete: true}`.
 */
export function targetAt(text, index, limit, streaming) {
  return new Target(text, index, Math.min(limit, index + 2 * MAX_ADDRESS)).read(streaming);
}

class Target {
  #text;
  #at;
  #limit;

  constructor(text, at, limit) {
    this.#text = text;
    this.#at = at;
    this.#limit = limit;
  }

  read(streaming) {
    this.#skipSpace();
    const address = this.#text[this.#at] === "<" ? this.#bracketed() : this.#plain();
    const spaced = this.#skipSpace();
    const title = address !== null && spaced && /["'(]/.test(this.#text[this.#at]) && !this.#ended ? this.#title() : "";
    this.#skipSpace();
    if (this.#ended) return streaming ? { incomplete: true } : null;
    if (address === null || title === null || this.#text[this.#at] !== ")") return null;
    return { address: unescaped(address), title: unescaped(title), end: this.#at + 1 };
  }

  get #ended() {
    return this.#at >= this.#limit;
  }

  #skipSpace() {
    const start = this.#at;
    while (!this.#ended && /\s/.test(this.#text[this.#at])) this.#at += 1;
    return this.#at > start;
  }

  #bracketed() {
    const start = (this.#at += 1);
    if (!this.#skipTo(">", /[<\n]/)) return null;
    return this.#text.slice(start, this.#at++);
  }

  #plain() {
    const start = this.#at;
    for (let depth = 0; !this.#ended; this.#at += 1) {
      const char = this.#text[this.#at];
      if (char === "\\" && PUNCTUATED.test(this.#text[this.#at + 1] ?? "")) this.#at += 1;
      else if (char === "(" && ++depth > MAX_PARENTHESES) return null;
      else if (char === ")" && --depth < 0) break;
      else if (/[\s\p{Cc}]/u.test(char)) break;
    }
    return this.#text.slice(start, this.#at);
  }

  #title() {
    const close = this.#text[this.#at] === "(" ? ")" : this.#text[this.#at];
    const start = (this.#at += 1);
    if (!this.#skipTo(close, close === ")" ? /\(/ : /(?!)/)) return null;
    return this.#text.slice(start, this.#at++);
  }

  /** Go to `close`, over what is escaped; false at what is `forbidden`, or if it does not come. */
  #skipTo(close, forbidden) {
    for (; !this.#ended; this.#at += 1) {
      const char = this.#text[this.#at];
      if (char === "\\") this.#at += 1;
      else if (char === close) return true;
      else if (forbidden.test(char)) return false;
    }
    return false;
  }
}

const unescaped = (text) => withEntities(text.replace(/\\([!-/:-@[-`{-~])/g, "$1"));
