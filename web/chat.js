/** One conversation on the page: its turns, and the answer that is being read. */

import { ask, readAgain } from "./api.js";
import { messagesOf, newTurn, titleFor } from "./conversation.js";
import { Reading } from "./reading.js";
import { Turn } from "./turn.js";

/** So long a request that is to be stopped may take to begin; then it is left. */
const STOP_MS = 1000;
const GONE = {
  code: "stream_expired",
  message: "The server no longer has this answer. What had come until then is kept.",
  retryable: true,
  retry_after: null,
  request_id: null,
  usage: null,
};

/**
 * `on` has `change(chat)` (it grew), `running(chat)` (an answer begins or has ended), `save(chat)`, `edit(turn)`,
 * `retry(turn)`, `options()` (the request's further fields), `waiting(exchange, begun)` and `voice(chat)`.
 */
export class Chat {
  conversation;
  element = document.createElement("div");
  #on;
  #turns = [];
  /** What is under way, or null: `{turn, stop(), over, ended()}`, where `turn` is null until the request is accepted. */
  #running = null;
  #discarded = false;

  constructor(conversation, on) {
    this.conversation = conversation;
    this.#on = on;
    this.element.className = "turns";
    for (const record of conversation.turns) this.#restore(record);
  }

  get isRunning() {
    return this.#running !== null;
  }

  get isEmpty() {
    return this.#turns.length === 0;
  }

  /**
   * Ask `question`, in the place of the turn `replaced` if there is one. Everything stays as it is until the server accepts
   * the request; then `replaced` goes, and with `dropLater` the turns after it. Throws a `StreamError` for a refusal.
   */
  async ask(question, replaced = null, { dropLater = false } = {}) {
    await this.stop();
    const clickedAt = performance.now();
    const place = replaced ? this.#turns.indexOf(replaced) : this.#turns.length;
    const reading = new Reading(ask(this.#body(question, place), clickedAt));
    const first = await this.#begin(reading);
    const turn = this.#newTurn(newTurn(question));
    this.#place(turn, replaced, dropLater);
    this.conversation.title ||= titleFor(question);
    turn.begin(clickedAt);
    this.#read(reading, first, turn);
  }

  /** Ask the question of `turn` once more; if only the connection was lost, read on. */
  retry(turn) {
    const { failure, stream_id: id, question } = turn.record;
    return failure?.code === "unreachable" && id ? this.#readOn(turn) : this.ask(question, turn);
  }

  /** The number of turns after `turn`. */
  countAfter(turn) {
    return this.#turns.length - 1 - this.#turns.indexOf(turn);
  }

  /** Stop what is under way, and wait until it has ended. */
  async stop() {
    if (!this.#running) return;
    this.#running.stop();
    await this.#running?.over;
  }

  /** Stop what is under way, and keep nothing more: the conversation was deleted. */
  discard() {
    this.#discarded = true;
    return this.stop();
  }

  /**
   * Keep what has come so far: the page may go away. If it is reloaded, it reads on; if it is closed, nothing reads, and the
   * server stops the generation after its grace. A browser does not tell a page which of the two it is.
   */
  keep() {
    this.#running?.turn?.keep();
    this.#save();
  }

  /** Read on, in a page that was reloaded, what was under way. */
  async resume() {
    const turn = this.#turns.find(({ record }) => record.state === "running");
    if (turn) await this.#readOn(turn);
  }

  async #readOn(turn) {
    await this.stop();
    const reading = new Reading(readAgain(turn.record.stream_id));
    let first;
    try {
      first = await this.#begin(reading);
    } catch (error) {
      return turn.failed(error.code === "unreachable" ? { ...GONE, code: error.code, message: error.message } : GONE);
    }
    const record = { ...turn.record, state: "running", failure: null, answer: "", reasoning: "", calls: [] };
    const fresh = this.#newTurn(record);
    this.#place(fresh, turn);
    fresh.begin(null);
    this.#read(reading, first, fresh);
  }

  #body(question, place) {
    const earlier = messagesOf(this.#turns.slice(0, place).map(({ record }) => record));
    const options = this.#on.options();
    return earlier.length ? { messages: [...earlier, { role: "user", content: question }], ...options } : { prompt: question, ...options };
  }

  /** Wait until the request is accepted; returns the first event. */
  async #begin(reading) {
    let ended;
    const over = new Promise((resolve) => (ended = resolve));
    const stop = () => {
      reading.stop();
      setTimeout(() => this.#running?.over === over && !this.#running.turn && reading.leave(), STOP_MS);
    };
    this.#setRunning({ turn: null, over, ended, stop });
    try {
      return await this.#on.waiting(reading.exchange, reading.begun());
    } catch (error) {
      this.#setRunning(null);
      ended();
      throw error;
    }
  }

  #read(reading, first, turn) {
    const { ended, over } = this.#running;
    const stop = () => {
      turn.stopping();
      reading.stop();
    };
    this.#setRunning({ turn, over, stop, ended });
    reading.read(first, turn);
  }

  #place(turn, replaced, dropLater = false) {
    if (!replaced) {
      this.#turns.push(turn);
      this.element.append(turn.element);
      return;
    }
    const place = this.#turns.indexOf(replaced);
    const hadFocus = replaced.element.contains(document.activeElement);
    replaced.element.before(turn.element);
    const gone = this.#turns.splice(place, dropLater ? Infinity : 1, turn);
    for (const each of gone) each.remove();
    if (hadFocus) turn.element.querySelector(".retry").focus();
  }

  #restore(record) {
    const turn = this.#newTurn(record);
    this.#turns.push(turn);
    this.element.append(turn.element);
    turn.restore();
  }

  #newTurn(record) {
    return new Turn(record, {
      change: () => this.#on.change(this),
      voice: this.#on.voice(this),
      retry: this.#on.retry,
      edit: this.#on.edit,
      begun: () => this.#save(),
      ended: (turn) => this.#ended(turn),
    });
  }

  #ended(turn) {
    this.#save();
    if (this.#running?.turn !== turn) return;
    const { ended } = this.#running;
    this.#setRunning(null);
    ended();
  }

  #setRunning(running) {
    this.#running = running;
    this.#on.running(this);
  }

  #save() {
    if (this.#discarded || this.isEmpty) return;
    this.conversation.turns = this.#turns.map(({ record }) => record);
    this.conversation.updated = Date.now();
    this.#on.save(this);
  }
}
