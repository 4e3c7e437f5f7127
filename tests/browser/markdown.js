// What the tests of web/markdown do in the page. Frames come when a test says so.

let frames = [];
window.requestAnimationFrame = (callback) => frames.push(callback);
window.cancelAnimationFrame = () => (frames = []);
const frame = () => frames.splice(0).forEach((callback) => callback());

const { MarkdownView } = await import("/markdown/view.js");

/** A view that has shown `pieces`; `each` is called after each piece. */
export function show(pieces, each = frame) {
  const element = document.createElement("div");
  document.body.replaceChildren(element);
  const view = new MarkdownView(element);
  for (const piece of pieces) {
    view.append(piece);
    each(element);
  }
  view.flush();
  if (view.value !== pieces.join("")) throw new Error("the value is not the source");
  return element;
}

/** The short HTML of a whole source, without the parts that every block of code, table and link has. */
export const shortHtml = (source) => {
  const element = show([source], () => {});
  element.normalize();
  return element.innerHTML
    .replaceAll(/<div class="code"><div class="code-head"><span>(.*?)<\/span>.*?<pre tabindex="0" dir="ltr">/gs, "<pre>$1:")
    .replaceAll("</pre></div>", "</pre>")
    .replaceAll('<div class="table" tabindex="0" role="group" aria-label="Table">', "<div>")
    .replaceAll(' target="_blank" rel="noopener noreferrer"', "");
};

const html = (element) => (element.normalize(), element.innerHTML);

/** Sources made of `atoms`, each shown at once and in pieces: the first that differs. */
export function firstDifference(atoms, count, seed) {
  const random = (limit) => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * limit);
  };
  for (let number = 0; number < count; number += 1) {
    const source = Array.from({ length: 1 + random(14) }, () => atoms[random(atoms.length)]).join("");
    const pieces = [];
    for (let at = 0; at < source.length; at += pieces.at(-1).length) pieces.push(source.slice(at, at + 1 + random(4)));
    const each = number % 2 ? frame : () => {};
    if (html(show(pieces, each)) !== html(show([source], () => {}))) return pieces;
  }
  return null;
}

/** `unit` so many times, as it streams. */
export function stream(head, unit, count) {
  const source = head + unit.repeat(count);
  const pieces = [];
  for (let at = 0; at < source.length; at += 16) pieces.push(source.slice(at, at + 16));
  return show(pieces).querySelectorAll("*").length;
}

/** What a reader sees after each character of `source`. */
export function glimpses(source) {
  const seen = new Set();
  show([...source], (element) => {
    frame();
    seen.add(element.innerHTML.replaceAll(/<div class="table"[^>]*>/g, "<div>"));
  });
  return [...seen];
}

/** Whether blocks that were complete are the same nodes at the end, untouched. */
export function settledStays(first, rest) {
  const element = document.createElement("div");
  const view = new MarkdownView(element);
  view.append(first);
  frame();
  const nodes = [...element.childNodes];
  let touched = 0;
  const observer = new MutationObserver((records) => (touched += records.length));
  nodes.slice(0, -1).forEach((node) => observer.observe(node, { childList: true, subtree: true, characterData: true }));
  for (const char of rest) {
    view.append(char);
    frame();
  }
  view.flush();
  touched += observer.takeRecords().length;
  return touched === 0 && nodes.slice(0, -1).every((node, index) => element.childNodes[index] === node);
}
