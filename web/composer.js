/** Where a message is written: Enter sends it, or breaks the line on a touch keyboard. */

const TOUCH = matchMedia("(pointer: coarse)");
const find = (id) => document.getElementById(id);

/** `on` has `send(text, edited)`, where `edited` is the turn that is edited or null, and `stop()`. */
export class Composer {
  #on;
  #message = find("prompt");
  #edited = null;
  #draft = "";
  #running = false;

  constructor(on) {
    this.#on = on;
    find("composer").addEventListener("submit", (event) => this.#submit(event));
    find("composer").addEventListener("keydown", (event) => this.#keydown(event));
    find("stop").addEventListener("click", () => on.stop());
    find("cancel-editing").addEventListener("click", () => this.cancelEditing());
    TOUCH.addEventListener("change", () => this.#describeKeys());
    this.#describeKeys();
  }

  get text() {
    return this.#message.value;
  }

  /** Bring the person here; not on a touch screen, where a keyboard would come up. */
  focus() {
    if (!TOUCH.matches) this.#message.focus();
  }

  /** Whether an answer is being read: what is offered is to stop it, or to send an edited question instead. */
  set running(running) {
    const focused = document.activeElement;
    this.#running = running;
    this.#show();
    if (focused.hidden && [find("send"), find("stop")].includes(focused)) this.focus();
  }

  /** The server has accepted `question`. */
  accepted(question) {
    if (this.#edited) this.#endEditing();
    else if (this.#message.value === question) this.#message.value = "";
  }

  /** The server did not take `question`: it must not be lost. */
  restore(question) {
    this.#message.value ||= question;
  }

  /** Write the question of `turn` anew. */
  edit(turn, laterTurns) {
    if (!this.#edited) this.#draft = this.#message.value;
    this.#edited = turn;
    this.#message.value = turn.record.question;
    const later = laterTurns > 1 ? `the ${laterTurns} turns after it go` : "the turn after it goes";
    find("editing-text").textContent = laterTurns
      ? `You are changing an earlier question: once the new one is accepted, ${later}.`
      : "You are changing the last question.";
    this.#show();
    this.#message.focus();
  }

  cancelEditing() {
    if (!this.#edited) return;
    this.#endEditing();
    this.focus();
  }

  #endEditing() {
    this.#edited = null;
    this.#message.value = this.#draft;
    this.#draft = "";
    this.#show();
  }

  #show() {
    find("send").hidden = this.#running && !this.#edited;
    find("stop").hidden = !this.#running;
    find("editing").hidden = !this.#edited;
  }

  #submit(event) {
    event.preventDefault();
    if (!this.#running || this.#edited) this.#on.send(this.#message.value, this.#edited);
  }

  #keydown(event) {
    // 229: a key that an input method takes, also in browsers that end the composition before they tell of the key.
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    const meant = event.ctrlKey || event.metaKey;
    const plain = event.target === this.#message && !TOUCH.matches && !event.shiftKey && !event.altKey;
    if (!meant && !plain) return;
    event.preventDefault();
    find("composer").requestSubmit();
  }

  #describeKeys() {
    this.#message.enterKeyHint = TOUCH.matches ? "enter" : "send";
    find("keys").textContent = TOUCH.matches ? "" : "Enter sends · Shift + Enter breaks the line · Esc stops";
  }
}
