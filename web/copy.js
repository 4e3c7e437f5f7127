/** Copying to the clipboard. */

const SHOWN_MS = 1_500;

/** Copy what `read()` gives when `button` is pressed; where a page may not, select it in `element` instead. */
export function copyOnClick(button, read, element) {
  const label = button.textContent;
  let timer;
  button.addEventListener("click", async () => {
    clearTimeout(timer);
    button.textContent = (await copied(read())) ? "Copied" : selected(element);
    timer = setTimeout(() => (button.textContent = label), SHOWN_MS);
  });
}

async function copied(text) {
  try {
    // Over plain HTTP there is no clipboard but on localhost.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function selected(element) {
  getSelection().selectAllChildren(element);
  return "Selected";
}
