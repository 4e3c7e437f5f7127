/** Parts of the page that are opened by a button: a panel beside the conversation, or a dialog above it. */

/** Let `button` show and hide `panel`, which dispatches `open` and `close`. */
export function togglePanel(button, panel) {
  const set = (open) => {
    panel.hidden = !open;
    button.ariaExpanded = String(open);
    panel.dispatchEvent(new Event(open ? "open" : "close"));
  };
  button.addEventListener("click", () => set(panel.hidden));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    set(false);
    button.focus();
  });
}

/** Let `button` open `dialog`, which dispatches `open`, and `close` of its own. */
export function openDialog(button, dialog) {
  button.addEventListener("click", () => {
    dialog.showModal();
    dialog.dispatchEvent(new Event("open"));
  });
}
