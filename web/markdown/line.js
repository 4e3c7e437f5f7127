/** The beginning of a line: its indentation in columns, where tabs stop at every fourth. */

const TAB = 4;

export class Cursor {
  #line;
  #at = 0;
  #column = 0;

  constructor(line) {
    this.#line = line;
  }

  /** What is not read yet. */
  get rest() {
    return this.#line.slice(this.#at);
  }

  /** What is not read yet, after its indentation. */
  get text() {
    return this.#line.slice(this.#textAt);
  }

  get blank() {
    return this.#textAt >= this.#line.length;
  }

  /** The columns of the indentation. */
  get indent() {
    let column = this.#column;
    for (let at = this.#at; at < this.#textAt; at += 1) column = this.#line[at] === "\t" ? column + TAB - (column % TAB) : column + 1;
    return column - this.#column;
  }

  /** Read up to `columns` of indentation; a part of a tab leaves blanks. */
  skipColumns(columns) {
    while (columns > 0 && this.#at < this.#textAt) {
      const width = this.#line[this.#at] === "\t" ? TAB - (this.#column % TAB) : 1;
      if (width > columns) {
        this.#line = " ".repeat(width - columns) + this.#line.slice(this.#at + 1);
        this.#at = 0;
        this.#column += columns;
        this.#end = null;
        return;
      }
      this.#at += 1;
      this.#column += width;
      columns -= width;
    }
  }

  skipIndent() {
    this.skipColumns(Infinity);
  }

  /** Read `length` characters that are no blanks. */
  skip(length) {
    this.#at += length;
    this.#column += length;
    this.#end = null;
  }

  #end = null;

  get #textAt() {
    if (this.#end === null) {
      this.#end = this.#at;
      while (this.#line[this.#end] === " " || this.#line[this.#end] === "\t") this.#end += 1;
    }
    return Math.max(this.#end, this.#at);
  }
}
