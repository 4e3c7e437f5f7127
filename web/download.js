/** Files that the page makes. */

/** Let the browser save `text` as a file. */
export function saveFile(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  // The download has been handed over when the browser comes to the next task.
  setTimeout(() => URL.revokeObjectURL(link.href));
}
