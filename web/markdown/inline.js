/** Inline Markdown: emphasis, code, links and line breaks of one block's text, as tokens. Linear in the text's length. */

import { Delimiters } from "./emphasis.js";
import { entityAt } from "./entities.js";
import { addressOf, bareAddressAt, bracketedAddressAt, targetAt } from "./links.js";

const SPECIAL = /[\\`*_~[\]!<&\n]|https?:\/\//gi;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const SPACE = /[ \t\n]/;

/**
 * Parse `text`. While `streaming`, what its end leaves open (emphasis, code, a link's address) is taken as about to be
 * closed, and marks with a meaning that the next character decides are held back.
 *
 * Returns `{tokens, settled}`. A token is a string, `{code}`, `{lineBreak}`, or `{close, text, open}`: close so many
 * elements, write the text, open the elements. Whatever text follows, the first `settled.tokens` tokens stay as they
 * are, and the rest is what parsing from character `settled.chars` gives.
 */
export function parseInline(text, streaming) {
  return new InlineParser(text, streaming).parse();
}

class InlineParser {
  #tokens = [];
  #settled = { tokens: 0, chars: 0 };
  #text;
  #streaming;
  #end;
  #at = 0;
  #delimiters = new Delimiters();
  #brackets = [];
  /** Brackets below this index may begin no link: links hold no links. */
  #inactive = 0;
  /** Whether something before may still be changed by what follows. */
  #open = false;
  #ticks = null;

  constructor(text, streaming) {
    this.#text = text;
    this.#streaming = streaming;
    this.#end = endOf(text, streaming);
  }

  parse() {
    while (this.#at < this.#end) {
      SPECIAL.lastIndex = this.#at;
      const found = SPECIAL.exec(this.#text);
      const next = found && found.index < this.#end ? found.index : this.#end;
      this.#plain(next);
      if (next < this.#end) this.#special(found[0]);
    }
    this.#delimiters.match();
    if (this.#streaming) this.#delimiters.closeAtEnd(this.#tokens);
    return { tokens: this.#tokens, settled: this.#settled };
  }

  /** Take the text up to `end`, which holds no mark. */
  #plain(end) {
    const text = this.#text.slice(this.#at, end);
    const cut = lastWordEnd(this.#text, this.#at, end);
    if (cut < 0 || this.#open || this.#brackets.length || !this.#delimiters.empty) {
      this.#push(text);
    } else {
      this.#push(text.slice(0, cut - this.#at));
      this.#settled = { tokens: this.#tokens.length, chars: cut };
      this.#push(text.slice(cut - this.#at));
    }
    this.#at = end;
  }

  #push(token) {
    if (token !== "") this.#tokens.push(token);
  }

  #special(mark) {
    const before = this.#at;
    if (mark === "\n") this.#newline();
    else if (mark === "\\") this.#escape();
    else if (mark === "`") this.#code();
    else if (mark === "[") this.#bracket(1);
    else if (mark === "!" && this.#text[before + 1] === "[") this.#bracket(2);
    else if (mark === "]") this.#closeBracket();
    else if (mark === "<") this.#address(bracketedAddressAt(this.#text, before));
    else if (mark === "&") this.#entity();
    else if (mark.length > 1) this.#address(bareAddressAt(this.#text, before, this.#end, this.#brackets.length > 0));
    else if (mark !== "!") this.#run(mark);
    if (this.#at === before) this.#literal(1);
  }

  #literal(length) {
    this.#push(this.#text.slice(this.#at, this.#at + length));
    this.#at += length;
  }

  #newline() {
    const last = this.#tokens.at(-1);
    const trimmed = typeof last === "string" ? last.slice(0, wordEnd(last)) : last;
    const hard = trimmed !== last && last.endsWith("  ");
    if (trimmed !== last) this.#tokens[this.#tokens.length - 1] = trimmed;
    this.#push(hard ? { lineBreak: true } : "\n");
    this.#at += 1;
  }

  #escape() {
    const next = this.#text[this.#at + 1];
    if (this.#at + 1 >= this.#end) return;
    if (next === "\n") this.#push({ lineBreak: true });
    else if (PUNCTUATION.test(next)) this.#push(next);
    else return;
    this.#at += 2;
  }

  #code() {
    const length = runAt(this.#text, this.#at, this.#end);
    const start = this.#at + length;
    const close = this.#closingTicks(length, start);
    if (close < 0 && !this.#streaming) {
      this.#open = true;
      return this.#literal(length);
    }
    const end = close < 0 ? this.#end : close;
    this.#push({ code: codeOf(this.#text.slice(start, end)) });
    if (close < 0) this.#open = true;
    this.#at = close < 0 ? end : close + length;
  }

  /** The next run of just `length` backticks from `start`; -1 if there is none. All runs are found once. */
  #closingTicks(length, start) {
    if (!this.#ticks) {
      this.#ticks = new Map();
      for (const { 0: run, index } of this.#text.slice(0, this.#end).matchAll(/`+/g)) {
        if (!this.#ticks.has(run.length)) this.#ticks.set(run.length, []);
        this.#ticks.get(run.length).push(index);
      }
      for (const places of this.#ticks.values()) places.reverse();
    }
    const places = this.#ticks.get(length) ?? [];
    while (places.length && places.at(-1) < start) places.pop();
    return places.at(-1) ?? -1;
  }

  #run(mark) {
    const length = runAt(this.#text, this.#at, this.#end);
    const token = { close: 0, text: mark.repeat(length), open: [] };
    this.#delimiters.add(mark, length, charBefore(this.#text, this.#at), charAt(this.#text, this.#at + length), token, this.#tokens.length);
    this.#push(token);
    this.#at += length;
    if (!this.#brackets.length) this.#delimiters.match();
  }

  #bracket(length) {
    const token = { close: 0, text: this.#text.slice(this.#at, this.#at + length), open: [] };
    this.#brackets.push({ token, image: length > 1, delimiters: this.#delimiters.mark(), index: this.#tokens.length });
    this.#push(token);
    this.#at += length;
  }

  #closeBracket() {
    const bracket = this.#brackets.pop();
    if (!bracket) return;
    const active = bracket.image || this.#brackets.length >= this.#inactive;
    this.#inactive = Math.min(this.#inactive, this.#brackets.length);
    const target = active && this.#text[this.#at + 1] === "(" ? targetAt(this.#text, this.#at + 2, this.#end, this.#streaming) : null;
    if (target?.incomplete) this.#incompleteLink(bracket);
    else if (target && addressOf(target.address)) this.#link(bracket, target);
    else if (!this.#brackets.length) this.#delimiters.match();
  }

  #link(bracket, { address, title, end }) {
    this.#delimiters.matchAfter(bracket.delimiters);
    Object.assign(bracket.token, { text: "", open: [{ name: "a", address: addressOf(address), title }] });
    if (bracket.image && bracket.index === this.#tokens.length - 1) this.#push("image");
    this.#push({ close: 1, text: "", open: [] });
    if (!bracket.image) this.#inactive = this.#brackets.length;
    this.#at = end;
    if (!this.#brackets.length) this.#delimiters.match();
  }

  /** Only the text of a link is shown until its address is complete. */
  #incompleteLink(bracket) {
    this.#delimiters.matchAfter(bracket.delimiters);
    bracket.token.text = "";
    this.#open = true;
    this.#at = this.#end;
  }

  #address(found) {
    if (!found) return;
    if (found.address) this.#push({ close: 0, text: "", open: [{ name: "a", address: found.address, title: "" }] });
    this.#push(found.text);
    if (found.address) this.#push({ close: 1, text: "", open: [] });
    this.#at = found.end;
  }

  #entity() {
    const found = entityAt(this.#text, this.#at);
    if (!found) return;
    this.#push(found.text);
    this.#at = found.end;
  }
}

/** Where the text to show ends: before its white space and, while more is to come, before undecided marks. */
function endOf(text, streaming) {
  let end = text.length;
  const isHeld = (char) => SPACE.test(char) || (streaming && "*_~`\\[".includes(char));
  while (end > 0 && isHeld(text[end - 1])) end -= 1;
  return end;
}

/** The last place in `text` from `start` to `end` where a word ends and white space begins; -1 if there is none. */
function lastWordEnd(text, start, end) {
  let at = text[end] === "\n" ? end : end - 1;
  while (at >= start && !(SPACE.test(text[at]) && at > 0 && !SPACE.test(text[at - 1]))) at -= 1;
  return at >= start ? at : -1;
}

/** The length of `text` without the blanks at its end; a regular expression would take quadratic time. */
function wordEnd(text) {
  let end = text.length;
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\t")) end -= 1;
  return end;
}

function runAt(text, start, end) {
  let at = start + 1;
  while (at < end && text[at] === text[start]) at += 1;
  return at - start;
}

function codeOf(source) {
  const code = source.replaceAll("\n", " ");
  return code.startsWith(" ") && code.endsWith(" ") && code.trim() ? code.slice(1, -1) : code;
}

const charAt = (text, index) => (index < text.length ? String.fromCodePoint(text.codePointAt(index)) : " ");

function charBefore(text, index) {
  if (index === 0) return " ";
  const low = /[\uDC00-\uDFFF]/.test(text[index - 1]) && index > 1;
  return charAt(text, low ? index - 2 : index - 1);
}
