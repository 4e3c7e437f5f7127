/** A table that grows by rows, and a row that grows by cells. */

import { InlineView } from "./inline-view.js";
import { Paragraph } from "./leaves.js";

const ESCAPE_OR_BAR = /\\(?:\|)|\\[^|]|\|/g;
const DELIMITER = /^:?-+:?$/;

/** The alignments that the row below a table's head gives, null if the line is none. */
export function alignmentsOf(line) {
  if (!line.includes("|")) return null;
  const cells = line.trim().replace(/^\|/, "").replace(/\|$/, "").split("|").map((cell) => cell.trim());
  if (!cells.every((cell) => DELIMITER.test(cell))) return null;
  return cells.map((cell) => ALIGNMENTS[`${cell.startsWith(":")}${cell.endsWith(":")}`]);
}

const ALIGNMENTS = { truetrue: "center", truefalse: "left", falsetrue: "right", falsefalse: "" };

/** The number of cells in a line. */
export function cellCount(line) {
  const bars = line.trim().replace(/^\|/, "").match(ESCAPE_OR_BAR)?.filter((each) => each === "|").length ?? 0;
  return bars + (/(?:^|[^\\])(?:\\\\)*\|$/.test(line.trim()) ? 0 : 1);
}

export class Table {
  kind = "head";
  #parent;
  #before;
  #scroller = document.createElement("div");
  #table = document.createElement("table");
  #body = null;
  #line = [];
  #row;
  #alignments = null;

  /** `before` is the paragraph that its head would belong to if it is no table. */
  constructor(parent, before) {
    this.#parent = parent;
    this.#before = before;
    this.#scroller.className = "table";
    this.#scroller.tabIndex = 0;
    this.#scroller.role = "group";
    this.#scroller.ariaLabel = "Table";
    const head = document.createElement("thead");
    this.#table.append(head);
    this.#scroller.append(this.#table);
    parent.append(this.#scroller);
    this.#row = new Row(head, "th", Infinity, []);
  }

  /** The line of its head. */
  get lastLine() {
    return this.#line.join("");
  }

  /** It is a table: the line below its head says so. */
  confirm(alignments) {
    this.kind = "table";
    this.#alignments = alignments;
    this.#row.align(alignments);
    this.#line = [];
  }

  /** It is none: the paragraph that its line belongs to. */
  revert() {
    this.#scroller.remove();
    const paragraph = this.#before ?? new Paragraph(this.#parent, false);
    if (this.#before) paragraph.beginLine();
    paragraph.add(this.lastLine);
    return paragraph;
  }

  beginLine() {
    if (!this.#body) this.#table.append((this.#body = document.createElement("tbody")));
    this.#row = new Row(this.#body, "td", this.#alignments.length, this.#alignments);
  }

  add(text) {
    if (this.kind === "head") this.#line.push(text);
    this.#row.add(text);
  }

  /** Whether the text that is held depends on what follows. */
  get undecided() {
    return this.kind === "head" || this.#row.undecided;
  }

  endLine() {
    this.#row.end();
  }

  render(exact) {
    this.#row.render(exact);
  }
}

class Row {
  #element = document.createElement("tr");
  #name;
  #columns;
  #alignments;
  #cells = [];
  #open = null;
  #blank = true;
  #held = "";
  #begun = false;

  constructor(parent, name, columns, alignments) {
    this.#name = name;
    this.#columns = columns;
    this.#alignments = alignments;
    parent.append(this.#element);
  }

  align(alignments) {
    this.#cells.forEach((cell, index) => alignments[index] && cell.classList.add(alignments[index]));
  }

  /** Take more of the line. A backslash waits for the character that it escapes. */
  add(text) {
    const line = this.#held + text;
    let from = 0;
    for (const { 0: mark, index } of line.matchAll(ESCAPE_OR_BAR)) {
      if (mark === "|") this.#text(line.slice(from, index));
      else if (mark === "\\|") this.#text(line.slice(from, index) + "|");
      else continue;
      if (mark === "|") this.#endCell();
      from = index + mark.length;
    }
    const rest = line.slice(from);
    this.#held = /(?:^|[^\\])(?:\\\\)*\\$/.test(rest) ? "\\" : "";
    this.#text(rest.slice(0, rest.length - this.#held.length));
  }

  get undecided() {
    return this.#held !== "";
  }

  end() {
    this.#text(this.#held);
    this.#held = "";
    this.#open?.render(true);
    this.#open = null;
  }

  render(exact) {
    this.#open?.render(exact);
  }

  #text(text) {
    if (this.#blank) text = text.trimStart();
    if (text === "") return;
    this.#blank = false;
    this.#begun = true;
    this.#open ??= this.#newCell();
    this.#open.append(text);
  }

  #endCell() {
    if (this.#begun) (this.#open ?? this.#newCell()).render(true);
    this.#begun = true;
    this.#open = null;
    this.#blank = true;
  }

  /** Cells beyond the table's columns are not shown. */
  #newCell() {
    const cell = document.createElement(this.#name);
    const alignment = this.#alignments[this.#cells.length];
    if (alignment) cell.classList.add(alignment);
    if (this.#name === "th") cell.scope = "col";
    this.#cells.push(cell);
    if (this.#cells.length <= this.#columns) this.#element.append(cell);
    return new InlineView(cell);
  }
}
