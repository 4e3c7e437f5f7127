/** What a line is, by its beginning: pure, so that a line can be looked at before all of it is there. */

import { Cursor } from "./line.js";
import { alignmentsOf, cellCount } from "./table.js";

const MAX_DEPTH = 24;
const BULLET = /^[-+*](?=[ \t]|$)/;
const ORDERED = /^(\d{1,9})([.)])(?=[ \t]|$)/;
const HEADING = /^#{1,6}(?=[ \t]|$)/;
const BACKTICKS = /^(`{3,})([^`]*)$/;
const TILDES = /^(~{3,})([^]*)$/;
/** Beginnings that a further character can give another meaning. */
const UNDECIDED = /^(?:#{1,6}|[-+*]|\d{1,9}[.)]?|`{1,2}|`{3,}[^`]*|~{1,2}|~{3,}[^]*|=+)$/;
const UNDECIDED_MARK = /^(?:#{1,6}|[-+*]|\d{1,9}[.)])[ \t]*$/;

/**
 * Decide what `line` is. `state` has the open `containers` and the open `leaf`. Unless `complete`, more of the line may
 * follow: then the result is null while that could change the decision.
 *
 * Returns `{matched, opens, kind, text, …}`: how many containers go on, those that begin, the kind of its block, and the
 * text of the line for that block.
 */
export function planLine(line, { containers, leaf }, complete) {
  return new Planner(line, containers, leaf, complete).plan();
}

class Planner {
  #cursor;
  #containers;
  #leaf;
  #complete;
  #matched = 0;
  #opens = [];

  constructor(line, containers, leaf, complete) {
    this.#cursor = new Cursor(line);
    this.#containers = containers;
    this.#leaf = leaf;
    this.#complete = complete;
  }

  plan() {
    if (!this.#matchContainers()) return null;
    const inLeaf = this.#allMatched ? this.#inLeaf() : undefined;
    return inLeaf === undefined ? this.#begin() : inLeaf;
  }

  get #allMatched() {
    return this.#matched === this.#containers.length;
  }

  get #depth() {
    return this.#matched + this.#opens.length;
  }

  /** Whether the line is directly below an open paragraph, or what may yet be one. */
  get #belowParagraph() {
    return this.#allMatched && this.#opens.length === 0 && ["paragraph", "head"].includes(this.#leaf?.kind);
  }

  #result(kind, more = {}) {
    return { matched: this.#matched, opens: this.#opens, kind, text: "", ...more };
  }

  /** False if that cannot be decided yet. */
  #matchContainers() {
    const cursor = this.#cursor;
    for (const container of this.#containers) {
      if (cursor.blank && !this.#complete) return false;
      if (container.kind === "quote") {
        if (!this.#atQuote()) break;
        if (!this.#skipQuote()) return false;
      } else if (cursor.blank) {
        if (container.empty) break;
      } else if (cursor.indent >= container.indent) cursor.skipColumns(container.indent);
      else break;
      this.#matched += 1;
    }
    return true;
  }

  #atQuote() {
    return this.#cursor.indent < 4 && this.#cursor.text.startsWith(">");
  }

  #skipQuote() {
    const cursor = this.#cursor;
    cursor.skipIndent();
    cursor.skip(1);
    if (cursor.rest === "" && !this.#complete) return false;
    cursor.skipColumns(1);
    return true;
  }

  /** What the line is to the open leaf alone; undefined if it may begin something else. */
  #inLeaf() {
    const { kind, fence } = this.#leaf ?? {};
    const cursor = this.#cursor;
    if (kind === "fence") return this.#inFence(fence);
    if (kind === "indented" && (cursor.indent >= 4 || (cursor.blank && this.#complete))) {
      if (cursor.blank && !this.#complete) return null;
      cursor.skipColumns(4);
      return cursor.blank ? this.#result("code-blank", { blank: cursor.rest }) : this.#result("code", { text: cursor.rest });
    }
    return undefined;
  }

  #inFence({ char, length, indent }) {
    const cursor = this.#cursor;
    const text = cursor.text;
    const marks = leading(text, char);
    if (cursor.indent < 4 && marks === text.length && !this.#complete) return null;
    if (cursor.indent < 4 && marks >= length && text.slice(marks).trim() === "") {
      return this.#complete ? this.#result("fence-end") : null;
    }
    cursor.skipColumns(indent);
    return this.#result("code", { text: cursor.rest });
  }

  /** What begins with the line. */
  #begin() {
    const cursor = this.#cursor;
    for (;;) {
      if (cursor.blank) return this.#complete ? this.#result("blank") : null;
      if (cursor.indent >= 4) return this.#indented();
      const text = cursor.text;
      if (this.#depth < MAX_DEPTH && text[0] === ">") {
        if (!this.#skipQuote()) return null;
        this.#opens.push({ kind: "quote" });
        continue;
      }
      if (!this.#complete && this.#undecided(text)) return null;
      const block = this.#block(text);
      if (block) return block;
      const item = this.#depth < MAX_DEPTH ? this.#item(text) : null;
      if (!item) return this.#textLine(text);
      this.#opens.push(item);
    }
  }

  #undecided(text) {
    return UNDECIDED.test(text) || UNDECIDED_MARK.test(text) || isRule(text, 1) || (this.#mayBeTable && only(text, "|:- \t"));
  }

  get #mayBeTable() {
    return this.#belowParagraph && (this.#leaf.kind === "head" || this.#leaf.lastLine.includes("|"));
  }

  #indented() {
    if (this.#belowParagraph || this.#lazy) return this.#textLine(this.#cursor.text);
    this.#cursor.skipColumns(4);
    return this.#result("indented", { text: this.#cursor.rest });
  }

  /** Whether a line of text goes on with a paragraph of containers that do not go on. */
  get #lazy() {
    return this.#opens.length === 0 && this.#leaf?.kind === "paragraph";
  }

  #block(text) {
    const heading = HEADING.exec(text)?.[0];
    if (heading) return this.#result("heading", { level: levelOf(heading.length), text: text.slice(heading.length).trimStart() });
    const fence = BACKTICKS.exec(text) ?? TILDES.exec(text);
    if (fence) return this.#result("fence", { fence: this.#fence(fence) });
    const below = this.#belowParagraph ? this.#below(text) : null;
    if (below) return below;
    return isRule(text, 3) ? this.#result("rule") : null;
  }

  #fence([, marks, info]) {
    const language = info.trim().split(/\s/, 1)[0];
    return { char: marks[0], length: marks.length, indent: this.#cursor.indent, language };
  }

  /** What makes a heading or a table of the lines before. */
  #below(text) {
    const alignments = this.#mayBeTable ? alignmentsOf(text) : null;
    if (alignments?.length === (alignments && cellCount(this.#leaf.lastLine))) return this.#result("delimiters", { alignments });
    const mark = text[0] === "=" || text[0] === "-" ? text[0] : null;
    const marks = mark ? leading(text, mark) : 0;
    return marks > 0 && text.slice(marks).trim() === "" ? this.#result("underline", { level: levelOf(mark === "=" ? 1 : 2) }) : null;
  }

  #item(text) {
    const bullet = BULLET.exec(text)?.[0];
    const [ordered, number, end] = ORDERED.exec(text) ?? [];
    const mark = bullet ?? ordered;
    if (!mark) return null;
    const cursor = this.#cursor;
    const empty = text.slice(mark.length).trim() === "";
    if (this.#belowParagraph && (empty || (number && Number(number) !== 1))) return null;
    const before = cursor.indent;
    cursor.skipIndent();
    cursor.skip(mark.length);
    const spaces = cursor.indent;
    const padding = empty || spaces > 4 ? 1 : spaces;
    cursor.skipColumns(padding);
    return { kind: "item", mark: bullet ?? end, start: number ? Number(number) : null, indent: before + mark.length + padding, empty };
  }

  #textLine(text) {
    if (!this.#allMatched && this.#lazy) return { ...this.#result("continuation", { text }), matched: this.#containers.length };
    if (this.#allMatched && !this.#opens.length && this.#leaf?.kind === "table") return this.#result("row", { text });
    if (text[0] === "|") return this.#result("head", { text });
    return this.#result(this.#belowParagraph ? "continuation" : "paragraph", { text });
  }
}

/** Headings begin at h2: the page has its own h1. */
const levelOf = (level) => Math.min(level + 1, 6);

function leading(text, char) {
  let count = 0;
  while (text[count] === char) count += 1;
  return count;
}

function only(text, chars) {
  for (const char of text) if (!chars.includes(char)) return false;
  return true;
}

/** Whether `text` is at least `least` times the same one of `-`, `_` and `*`, and blanks. */
function isRule(text, least) {
  const mark = text[0];
  if (!"-_*".includes(mark) || !only(text, `${mark} \t`)) return false;
  return text.split(mark).length - 1 >= least;
}
