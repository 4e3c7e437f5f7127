/** Inline tokens as DOM nodes. */

const MAX_DEPTH = 32;
const NODE_CHARS = 4096;

/** Append `tokens` to `element`, which has no open element in it. */
export function emit(tokens, element) {
  const stack = [element];
  let linkDepth = Infinity;
  for (const token of tokens) {
    const parent = stack.at(-1);
    if (typeof token === "string") appendText(parent, token);
    else if (token.code !== undefined) parent.append(inlineCode(token.code));
    else if (token.lineBreak) parent.append(document.createElement("br"));
    else {
      stack.length -= token.close;
      if (stack.length < linkDepth) linkDepth = Infinity;
      appendText(stack.at(-1), token.text);
      for (const spec of token.open) {
        const link = spec.name === "a";
        stack.push(open(spec, stack.at(-1), stack.length > MAX_DEPTH || (link && stack.length >= linkDepth)));
        if (link) linkDepth = Math.min(linkDepth, stack.length);
      }
    }
  }
}

/** A link in a link, and what is nested too deeply, is its text alone. */
function open(spec, parent, textOnly) {
  if (textOnly) return parent;
  const element = document.createElement(spec.name);
  if (spec.name === "a") {
    element.href = spec.address;
    element.target = "_blank";
    element.rel = "noopener noreferrer";
    if (spec.title) element.title = spec.title;
  }
  parent.append(element);
  return element;
}

function inlineCode(text) {
  const element = document.createElement("code");
  element.textContent = text;
  return element;
}

/** Append `text`; a text node grows to some length, so that a long text has few nodes. */
export function appendText(parent, text) {
  if (text === "") return;
  const last = parent.lastChild;
  if (last?.nodeType === Node.TEXT_NODE && last.length < NODE_CHARS) last.appendData(text);
  else parent.append(text);
}
