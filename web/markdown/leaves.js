/** The blocks that hold text: paragraphs, headings and code. Each shows the text that it is given so far. */

import { copyOnClick } from "../copy.js";
import { Parts } from "../parts.js";
import { appendText } from "./emit.js";
import { InlineView } from "./inline-view.js";

const LABEL_CHARS = 32;

export class Paragraph {
  kind = "paragraph";
  #element = document.createElement("p");
  #view = new InlineView(this.#element);
  #lines = [];
  #line = "";
  #parent;
  #task;

  /** `inItem`: it begins a list's item, which may be a task. */
  constructor(parent, inItem) {
    this.#parent = parent;
    this.#task = inItem;
    parent.append(this.#element);
  }

  /** The line that was added last. */
  get lastLine() {
    return this.#line;
  }

  beginLine() {
    this.#view.append("\n");
    this.#lines.push(this.#line, "\n");
    this.#line = "";
  }

  add(text) {
    this.#line += text;
    if (this.#task) text = this.#afterBox();
    this.#view.append(text);
  }

  /** Whether the text that is held depends on what follows. */
  get undecided() {
    return this.#task && this.#line !== "";
  }

  endLine() {
    if (this.undecided) this.#view.append(this.#line);
    this.#task = false;
  }

  render(exact) {
    this.#view.render(exact);
  }

  /** Take the last line out: it was something else. */
  dropLine() {
    this.#view = new InlineView(this.#element);
    this.#element.replaceChildren();
    const text = this.#lines.slice(0, -1).join("");
    this.#view.append(text);
    this.#view.render(true);
    if (!text) this.#element.remove();
  }

  /** Show it as a heading after all: the line below it says so. */
  asHeading(level) {
    this.render(true);
    const heading = document.createElement(`h${level}`);
    heading.append(...this.#element.childNodes);
    this.#element.replaceWith(heading);
  }

  /** The text to show once `[ ]` or `[x]` is read. */
  #afterBox() {
    const line = this.#line;
    if (/^\[(?:[ xX]\]?)?$/.test(line)) return "";
    this.#task = false;
    const box = /^\[([ xX])\](?=\s)/.exec(line);
    if (!box) return line;
    this.#element.append(taskBox(box[1] !== " "));
    return line.slice(box[0].length);
  }
}

function taskBox(done) {
  const box = document.createElement("span");
  box.role = "img";
  box.ariaLabel = done ? "done" : "to do";
  box.textContent = done ? "☑" : "☐";
  return box;
}

export class Heading {
  kind = "heading";
  #view;
  #empty = true;
  #held = [];

  constructor(parent, level) {
    const element = document.createElement(`h${level}`);
    this.#view = new InlineView(element);
    parent.append(element);
  }

  /** What may be a closing sequence of `#` is held until other text follows it. */
  add(text) {
    this.#held.push(text);
    if (/[^# \t]/.test(text)) this.#release();
  }

  get undecided() {
    return this.#held.length > 0;
  }

  endLine() {
    this.#release();
    this.#held = [];
  }

  render(exact) {
    this.#view.render(exact);
  }

  #release() {
    const text = this.#held.join("");
    const end = closingSequence(text, this.#empty);
    this.#empty &&= end === 0;
    this.#view.append(text.slice(0, end));
    this.#held = end < text.length ? [text.slice(end)] : [];
  }
}

/** Where the blanks and `#` at the end of a heading's text begin, as far as they may be a closing sequence. */
function closingSequence(text, first) {
  const skip = (from, chars) => {
    while (from > 0 && chars.includes(text[from - 1])) from -= 1;
    return from;
  };
  const blanks = skip(text.length, " \t");
  const marks = skip(blanks, "#");
  const start = skip(marks, " \t");
  return start < marks || (first && marks === 0) ? start : blanks;
}

/** A block of code, fenced or indented: its language, a button that copies it, and its lines. */
export class Code {
  #code = document.createElement("code");
  #parts = new Parts(this.#code);
  #lines = 0;
  #blank = [];
  #pending = [];

  /** `fence` is `{char, length, indent, language}`, null if the code is indented. */
  constructor(parent, fence) {
    this.kind = fence ? "fence" : "indented";
    this.fence = fence;
    const element = document.createElement("div");
    element.className = "code";
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    pre.dir = "ltr";
    pre.append(this.#code);
    element.append(head(fence?.language ?? "", this.#code), pre);
    parent.append(element);
  }

  beginLine() {
    this.#pending.push(...this.#blank.splice(0));
    if (this.#lines++ > 0) this.#pending.push("\n");
  }

  add(text) {
    this.#pending.push(text);
  }

  get undecided() {
    return false;
  }

  endLine() {}

  /** An empty line, which counts only if more code follows where code is indented. */
  blankLine(text) {
    this.#blank.push("\n", text);
  }

  render() {
    for (const text of this.#pending.splice(0)) appendText(this.#parts.next(text.length), text);
  }
}

function head(language, code) {
  const element = document.createElement("div");
  element.className = "code-head";
  const label = document.createElement("span");
  label.textContent = language.length > LABEL_CHARS ? `${language.slice(0, LABEL_CHARS)}…` : language;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet copy-code";
  button.textContent = "Copy code";
  copyOnClick(button, () => code.textContent, code);
  element.append(label, button);
  return element;
}
