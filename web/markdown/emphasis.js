/** Which runs of `*`, `_` and `~~` open and close emphasis: the rules of CommonMark 0.31, section 6.2. */

const SPACE = /\s/u;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const WORD = /[\p{L}\p{N}]/u;

export class Delimiters {
  /** Runs that may still open something, and those that were not looked at yet. */
  #stack = [];
  #unmatched = [];
  /** Before which token there is no opener for a kind of closer: it is not looked for twice. */
  #bottoms = new Map();

  get empty() {
    return this.#stack.length === 0 && this.#unmatched.length === 0;
  }

  /** Add a run of `length` times `char`, between the characters `before` and `after`, shown by `token`. */
  add(char, length, before, after, token, position) {
    if (char === "~" && length !== 2) return;
    const leftFlanking = !SPACE.test(after) && (!PUNCTUATION.test(after) || SPACE.test(before) || PUNCTUATION.test(before));
    const rightFlanking = !SPACE.test(before) && (!PUNCTUATION.test(before) || SPACE.test(after) || PUNCTUATION.test(after));
    const word = char === "_";
    const canOpen = leftFlanking && (!word || !rightFlanking || PUNCTUATION.test(before));
    const canClose = rightFlanking && (!word || !leftFlanking || PUNCTUATION.test(after));
    if (!canOpen && !canClose) return;
    this.#unmatched.push({ char, length, left: length, canOpen, canClose, token, position, inWord: WORD.test(before) });
  }

  /** A place for {@link matchAfter}: the runs that follow are inside a link's text. */
  mark() {
    return this.#unmatched.length;
  }

  /** Match the runs that were added so far. */
  match() {
    for (const run of this.#unmatched.splice(0)) this.#take(run, 0, this.#bottoms);
  }

  /** Match the runs that were added since `mark` among themselves, and be done with them. */
  matchAfter(mark) {
    const runs = this.#unmatched.splice(mark);
    if (!runs.length) return;
    const floor = runs[0].position;
    const bottoms = new Map();
    for (const run of runs) this.#take(run, floor, bottoms);
    while (this.#stack.length && this.#stack.at(-1).position >= floor) this.#stack.pop();
  }

  #take(run, floor, bottoms) {
    if (run.canClose) this.#close(run, floor, bottoms);
    if (run.canOpen && run.left > 0) this.#stack.push(run);
  }

  #close(closer, bottom, bottoms) {
    const kind = `${closer.char}${closer.canOpen}${closer.length % 3}`;
    while (closer.left > 0) {
      const floor = Math.max(bottom, bottoms.get(kind) ?? 0);
      let index = this.#stack.length - 1;
      while (index >= 0 && this.#stack[index].position >= floor && !fits(this.#stack[index], closer)) index -= 1;
      if (index < 0 || this.#stack[index].position < floor) {
        bottoms.set(kind, closer.position);
        return;
      }
      this.#stack.length = index + 1;
      pair(this.#stack[index], closer);
      if (this.#stack[index].left === 0) this.#stack.pop();
    }
  }

  /** Take what is open as closed at the end of `tokens`: its other half is likely to come. */
  closeAtEnd(tokens) {
    let count = 0;
    for (const run of this.#stack) {
      if (run.inWord || run.left !== run.length || run.length > 3) continue;
      run.token.text = "";
      run.token.open = run.char === "~" ? [{ name: "del" }] : [[], [EM], [STRONG], [EM, STRONG]][run.length];
      count += run.token.open.length;
    }
    if (count) tokens.push({ close: count, text: "", open: [] });
  }
}

const EM = { name: "em" };
const STRONG = { name: "strong" };

function fits(opener, closer) {
  if (opener.char !== closer.char) return false;
  if (!opener.canClose && !closer.canOpen) return true;
  return (opener.length + closer.length) % 3 !== 0 || (opener.length % 3 === 0 && closer.length % 3 === 0);
}

function pair(opener, closer) {
  const count = opener.left > 1 && closer.left > 1 ? 2 : 1;
  opener.left -= count;
  closer.left -= count;
  opener.token.text = opener.token.text.slice(count);
  closer.token.text = closer.token.text.slice(count);
  opener.token.open.unshift(opener.char === "~" ? { name: "del" } : count === 2 ? STRONG : EM);
  closer.token.close += 1;
}
