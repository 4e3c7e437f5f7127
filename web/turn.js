/** One question and its answer on the page. What a model wrote becomes text nodes, never HTML. */

import { Calls } from "./calls.js";
import { copyOnClick } from "./copy.js";
import { countDown, showFailure } from "./failure.js";
import { Figures } from "./figures.js";
import { MarkdownView } from "./markdown/view.js";
import { GrowingText } from "./text.js";
import { duration, remarkOn, titleOf, tokensPerSecond } from "./messages.js";

const TICK_MS = 100;
const SILENCE_MS = 20_000;

/**
 * The view of one turn of a conversation (see `newTurn`), and the listener of its {@link Reading}.
 *
 * `on` has `change()` (it grew), `begun(turn)` (its stream's id is known), `ended(turn)`, `retry(turn)`, `edit(turn)`, and
 * `voice`, an {@link Announcer}.
 */
export class Turn {
  record;
  #answer;
  #reasoning;
  #calls;
  #figures;
  #on;
  #clickedAt = null;
  #firstAt = null;
  #heardAt = 0;
  #pieces = 0;
  #ticking;
  #stopClock = () => {};
  #shown = { state: "", text: "" };
  #stopping = false;

  constructor(record, on) {
    this.record = record;
    this.#on = on;
    this.element = document.getElementById("turn").content.firstElementChild.cloneNode(true);
    this.#answer = new MarkdownView(this.#find(".answer"), on.change);
    this.#reasoning = new GrowingText(this.#find(".reasoning .aside-text"), on.change);
    this.#calls = new Calls(this.#find(".calls"), on.change);
    this.#figures = new Figures(this.#find(".figures"));
    this.#find(".asked").textContent = record.question;
    copyOnClick(this.#find(".copy-answer"), () => this.#answer.value, this.#find(".answer"));
    copyOnClick(this.#find(".copy-request"), () => this.record.request_id, this.#find(".request-id"));
    this.#find(".retry").addEventListener("click", () => on.retry(this));
    this.#find(".edit").addEventListener("click", () => on.edit(this));
  }

  /** Show an answer that is being read; its times begin at `clickedAt`, null if that was before a reload. */
  begin(clickedAt) {
    this.#clickedAt = clickedAt;
    this.#figures.ttft = this.record.figures.ttft_ms;
    this.#heardAt = performance.now();
    this.element.ariaBusy = "true";
    this.#show("waiting", "Connecting…");
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    this.#on.voice.begin();
  }

  /** Show an answer as it was kept. */
  restore() {
    const { answer, reasoning, calls, provider, model, usage, figures, finish_reason: reason, failure } = this.record;
    this.#answer.append(answer);
    this.#reasoning.append(reasoning);
    this.#find(".reasoning").hidden = !reasoning;
    for (const call of calls) this.#calls.append(call);
    if (provider) this.#name(provider, model);
    this.#figures.request = this.record.request_id;
    this.#figures.ttft = figures.ttft_ms;
    this.#figures.elapsed = figures.elapsed_ms;
    this.#figures.setSpeed(figures.tokens_per_second);
    this.#figures.usage = usage;
    this.#figures.ending = reason ?? failure?.code;
    this.#showRest();
    this.#conclude(failure);
  }

  start({ stream_id: streamId, request_id: requestId, provider, model }) {
    Object.assign(this.record, { stream_id: streamId, request_id: requestId, provider, model });
    this.#name(provider, model);
    this.#figures.request = requestId;
    this.#heard("waiting", "Waiting for the first token…");
    this.#on.begun(this);
  }

  text(piece) {
    this.#count();
    this.#answer.append(piece);
    this.#on.voice.hear(piece);
    this.#heard("streaming", "Answering");
  }

  reasoning(piece) {
    this.#count();
    this.#find(".reasoning").hidden = false;
    this.#reasoning.append(piece);
    this.#heard("streaming", "Thinking");
  }

  toolCall(piece) {
    this.#count();
    this.#calls.append(piece);
    this.#heard("streaming", "Calling a tool");
  }

  quiet() {
    if (this.#stopping) return;
    this.#heard("waiting", "The model is quiet…");
    this.#on.voice.say("The model is quiet.");
  }

  connected() {
    if (this.#shown.state !== "reconnecting") return;
    this.#heard("waiting", "Connected again");
    this.#on.voice.say("Connected again.");
  }

  reconnecting() {
    if (this.#stopping || this.#shown.state === "reconnecting") return;
    this.#show("reconnecting", "Connection lost, reconnecting…");
    this.#on.voice.say("The connection is lost. Reconnecting.");
  }

  /** The person has asked to stop. */
  stopping() {
    this.#stopping = true;
    this.#show("waiting", "Stopping…");
  }

  done({ provider, model, usage, finish_reason: reason, ttft_ms: first, duration_ms: total }) {
    Object.assign(this.record, { state: "done", provider, model, usage, finish_reason: reason });
    this.#name(provider, model);
    this.#figures.usage = usage;
    this.#figures.ending = reason;
    if (this.#clickedAt === null) this.#figures.elapsed = this.record.figures.elapsed_ms = total;
    this.#setSpeed(first === null || !usage ? null : tokensPerSecond(usage.completion_tokens, total - first));
    this.#finish(null, `The answer is complete. ${remarkOn(reason) ?? ""}`);
  }

  failed(failure) {
    const { code, usage } = failure;
    const stopped = code === "cancelled";
    Object.assign(this.record, { state: stopped ? "stopped" : "failed", usage: usage ?? this.record.usage, failure });
    this.#figures.usage = this.record.usage;
    this.#figures.ending = code;
    this.#finish(failure, stopped ? "Stopped." : `${titleOf(failure)}. ${failure.message}`);
  }

  /** Bring what has come so far into the record. */
  keep() {
    Object.assign(this.record, { answer: this.#answer.value, reasoning: this.#reasoning.value, calls: this.#calls.value });
  }

  /** Forget its timers: it leaves the page. */
  remove() {
    clearInterval(this.#ticking);
    this.#stopClock();
    this.#figures.remove();
    this.element.remove();
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #name(provider, model) {
    this.#find(".who").textContent = provider === model ? provider : `${provider} · ${model}`;
  }

  #show(state, text) {
    this.#shown = { state, text };
    this.element.dataset.state = state;
    this.#find(".state").textContent = text;
  }

  #heard(state, text) {
    this.#heardAt = performance.now();
    if (this.#shown.state !== state || this.#shown.text !== text) this.#show(state, text);
  }

  #count() {
    this.#pieces += 1;
    if (this.#firstAt !== null) return;
    this.#firstAt = performance.now();
    this.#find(".copy-answer").hidden = false;
    if (this.#clickedAt === null) return;
    this.#figures.ttft = this.record.figures.ttft_ms = this.#firstAt - this.#clickedAt;
    this.#on.voice.say("The answer begins.");
  }

  #tick() {
    const now = performance.now();
    if (this.#clickedAt !== null) this.#figures.elapsed = now - this.#clickedAt;
    if (this.#shown.state === "streaming" && this.#clickedAt !== null) {
      // A piece is about a token; the count that is right comes at the end.
      this.#figures.setSpeed(tokensPerSecond(this.#pieces, this.#heardAt - this.#firstAt), true);
    }
    const silence = now - this.#heardAt;
    if (silence > SILENCE_MS && this.#shown.state !== "reconnecting") {
      this.#show("waiting", `Nothing heard from the server for ${duration(silence)}`);
    }
  }

  #setSpeed(perSecond) {
    this.record.figures.tokens_per_second = perSecond;
    this.#figures.setSpeed(perSecond);
  }

  async #finish(failure, said) {
    clearInterval(this.#ticking);
    if (this.#clickedAt !== null) {
      this.#figures.elapsed = this.record.figures.elapsed_ms = performance.now() - this.#clickedAt;
    }
    this.keep();
    await this.#showRest();
    this.element.ariaBusy = "false";
    this.#conclude(failure);
    this.#on.voice.end(said);
    this.#on.ended(this);
  }

  #showRest() {
    this.#calls.finish();
    return Promise.all([this.#reasoning.finish(), this.#answer.finish()]);
  }

  /** Show how it ended. */
  #conclude(failure) {
    const { state, answer, finish_reason: reason } = this.record;
    this.#find(".copy-answer").hidden = !answer;
    if (state === "done") {
      this.#show("done", "Done");
      this.#remark(remarkOn(reason));
    } else if (state === "failed") {
      this.#show("failed", "Failed");
      showFailure(this.#find(".failure"), failure);
      if (failure.retryable) this.#stopClock = countDown(this.#find(".retry"), failure.retry_after, "Retry");
    } else if (state === "running") {
      this.#show("waiting", "Reading on…");
    } else {
      this.#show("stopped", "Stopped");
      this.#remark(answer ? "Stopped. What had come until then is kept." : "Stopped before anything had come.");
    }
    this.#on.change();
  }

  #remark(text) {
    const notice = this.#find(".notice");
    notice.textContent = text ?? "";
    notice.hidden = !text;
  }
}
