/** Copying to the clipboard. */

const SHOWN_MS = 1_500;

/** Copy what `read()` gives when `button` is pressed; where the browser forbids it, select `element` instead. */
export function copyOnClick(button, read, element) {
  const text = button.querySelector("span") ?? button;
  const label = text.textContent;
  let timer;
  button.addEventListener("click", async () => {
    clearTimeout(timer);
    text.textContent = (await copied(read())) ? "Copied" : selected(element);
    timer = setTimeout(() => (text.textContent = label), SHOWN_MS);
  });
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP there is no clipboard but on localhost.
    return copiedByCommand(text);
  }
}

function copiedByCommand(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  return done;
}

function selected(element) {
  getSelection().selectAllChildren(element);
  return "Selected";
}
