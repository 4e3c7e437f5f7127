/** The blocks of a growing text: containers (quotes, lists), and one open leaf that takes the text of each line. */

import { Sections } from "../parts.js";
import { Code, Heading, Paragraph } from "./leaves.js";
import { planLine } from "./plan.js";
import { Table } from "./table.js";

/** A line that is still undecided and longer is looked at again only once it has doubled. */
const RECHECK_CHARS = 128;

export class Blocks {
  #root;
  #containers = [];
  #leaf = null;
  #inLine = false;
  #held = "";
  #recheckAt = 0;

  constructor(element) {
    this.#root = Object.assign(new Sections(element), { list: null });
  }

  /** Whether the meaning of what came last depends on what follows. */
  get undecided() {
    return this.#held !== "" || (this.#leaf?.undecided ?? false);
  }

  /** Take more text. */
  append(text) {
    for (let at = 0; at < text.length; ) {
      const newline = text.indexOf("\n", at);
      const end = newline < 0 ? text.length : newline;
      this.#take(text.slice(at, end), newline >= 0);
      at = end + 1;
    }
  }

  /** Show what is there: `exact`ly as if it ended here, else as text that goes on. */
  render(exact) {
    if (exact && this.#held) this.#begin(true);
    if (exact && this.#leaf?.undecided) this.#leaf.endLine();
    if (exact && this.#leaf?.kind === "head") this.#revertHead();
    this.#leaf?.render(exact);
  }

  #take(text, complete) {
    if (this.#inLine) {
      if (text) this.#leaf.add(text);
    } else {
      this.#held += text;
      this.#begin(complete);
    }
    if (!complete) return;
    if (this.#inLine) this.#leaf.endLine();
    this.#inLine = false;
  }

  #begin(complete) {
    if (!complete && (this.#held === "" || this.#held.length < this.#recheckAt)) return;
    const plan = planLine(this.#held, { containers: this.#containers, leaf: this.#leaf }, complete);
    this.#recheckAt = plan || this.#held.length < RECHECK_CHARS ? 0 : 2 * this.#held.length;
    if (!plan) return;
    this.#held = "";
    this.#commit(plan);
  }

  #commit(plan) {
    if (this.#leaf?.kind === "head" && plan.kind !== "delimiters") this.#revertHead();
    if (plan.matched < this.#containers.length || plan.opens.length) {
      this.#closeLeaf();
      this.#containers.length = plan.matched;
    }
    for (const spec of plan.opens) this.#open(spec);
    this.#containers.forEach((container, index) => (container.empty &&= plan.kind === "blank" && index === this.#containers.length - 1));
    COMMITS[plan.kind](this, plan);
    if (plan.text) this.#leaf.add(plan.text);
  }

  get #container() {
    return this.#containers.at(-1) ?? this.#root;
  }

  #open(spec) {
    const parent = this.#container;
    const container = { ...spec, element: document.createElement(spec.kind === "quote" ? "blockquote" : "li"), list: null };
    if (spec.kind === "item") this.#listFor(parent, spec).append(container.element);
    else this.#place(container.element);
    this.#containers.push(container);
  }

  /** The list before, if the item goes on with it, else a new one. */
  #listFor(parent, { mark, start }) {
    if (parent.list?.mark === mark) return parent.list.element;
    const element = document.createElement(start === null ? "ul" : "ol");
    if (start !== null && start !== 1) element.start = start;
    parent.element.append(element);
    parent.list = { mark, element };
    return element;
  }

  #place(element) {
    this.#container.list = null;
    this.#container.element.append(element);
  }

  #closeLeaf() {
    this.#leaf?.render(true);
    this.#leaf = null;
  }

  #revertHead() {
    this.#leaf = this.#leaf.revert();
  }

  /** Make `create(parent)` the open leaf. */
  begin(create) {
    this.#closeLeaf();
    this.#container.list = null;
    this.#leaf = create(this.#container.element);
    this.#inLine = true;
  }

  paragraph() {
    const container = this.#container;
    const first = container.kind === "item" && !container.element.hasChildNodes();
    this.begin((parent) => new Paragraph(parent, first));
  }

  goOn() {
    this.#leaf.beginLine();
    this.#inLine = true;
  }

  head() {
    const before = this.#leaf?.kind === "paragraph" ? this.#leaf : null;
    this.begin((parent) => new Table(parent, before));
  }

  delimiters(alignments) {
    if (this.#leaf.kind === "paragraph") {
      const line = this.#leaf.lastLine;
      this.#leaf.dropLine();
      this.#leaf = null;
      this.begin((parent) => new Table(parent, null));
      this.#leaf.add(line);
      this.#leaf.endLine();
    }
    this.#leaf.confirm(alignments);
    this.#inLine = false;
  }

  underline(level) {
    this.#leaf.asHeading(level);
    this.#leaf = null;
  }

  /** The line with the fence has no text of the code. */
  fence(fence) {
    this.begin((parent) => new Code(parent, fence));
    this.#inLine = false;
  }

  blank() {
    this.#closeLeaf();
  }

  codeBlank(text) {
    this.#leaf.blankLine(text);
  }

  rule() {
    this.#closeLeaf();
    this.#place(document.createElement("hr"));
  }
}

const COMMITS = {
  blank: (blocks) => blocks.blank(),
  paragraph: (blocks) => blocks.paragraph(),
  continuation: (blocks) => blocks.goOn(),
  row: (blocks) => blocks.goOn(),
  code: (blocks) => blocks.goOn(),
  heading: (blocks, { level }) => blocks.begin((parent) => new Heading(parent, level)),
  fence: (blocks, { fence }) => blocks.fence(fence),
  "fence-end": (blocks) => blocks.blank(),
  indented: (blocks) => {
    blocks.begin((parent) => new Code(parent, null));
    blocks.goOn();
  },
  "code-blank": (blocks, { blank }) => blocks.codeBlank(blank),
  head: (blocks) => blocks.head(),
  delimiters: (blocks, { alignments }) => blocks.delimiters(alignments),
  underline: (blocks, { level }) => blocks.underline(level),
  rule: (blocks) => blocks.rule(),
};
