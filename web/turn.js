/** One question and its answer on the page. What a model wrote becomes text nodes, never HTML. */

import { copyOnClick } from "./copy.js";
import { showFailure } from "./failure.js";
import { GrowingText } from "./text.js";
import { duration, remarkOn, speed, titleOf, usage } from "./words.js";

const TICK_MS = 100;
const SILENCE_MS = 20_000;

/**
 * The view of one exchange, and the listener of its {@link Reading}.
 *
 * `on` has `change()` (it grew), `say(text)` (worth reading out), `end(turn)`, `again(turn)` and `edit(turn)`.
 * Times begin at `clickedAt`, in `performance.now()`'s terms.
 */
export class Turn {
  prompt;
  requestId = null;
  #answer;
  #reasoning;
  #calls = new Map();
  #on;
  #clickedAt;
  #firstAt = null;
  #heardAt;
  #pieces = 0;
  #ticking;
  #stopClock = () => {};
  #state = "";
  #stopping = false;

  constructor(prompt, provider, clickedAt, on) {
    this.prompt = prompt;
    this.#on = on;
    this.#clickedAt = this.#heardAt = clickedAt;
    this.element = document.getElementById("turn").content.firstElementChild.cloneNode(true);
    this.#answer = new GrowingText(this.#find(".answer"), on.change);
    this.#reasoning = new GrowingText(this.#find(".reasoning .aside-text"), on.change);
    this.#find(".asked").textContent = prompt;
    this.#find(".who").textContent = provider;
    this.element.ariaBusy = "true";
    this.#show("waiting", "Connecting…");
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    copyOnClick(this.#find(".copy-answer"), () => this.answer, this.#find(".answer"));
    copyOnClick(this.#find(".copy-request"), () => this.requestId, this.#find(".request-id"));
  }

  /** The text that has come so far. */
  get answer() {
    return this.#answer.value;
  }

  start({ request_id: requestId, provider, model }) {
    this.requestId = requestId;
    this.#name(provider, model);
    this.#find(".request-id").textContent = requestId;
    this.#find(".request").hidden = false;
    this.#heard("waiting", "Waiting for the first token…");
  }

  text(piece) {
    this.#count();
    this.#answer.append(piece);
    this.#heard("streaming", "Answering");
  }

  reasoning(piece) {
    this.#count();
    this.#find(".reasoning").hidden = false;
    this.#reasoning.append(piece);
    this.#heard("streaming", "Thinking");
  }

  toolCall({ index, name, arguments: piece }) {
    this.#count();
    let call = this.#calls.get(index);
    if (!call) {
      const element = document.getElementById("call").content.firstElementChild.cloneNode(true);
      call = { name: element.querySelector(".call-name"), text: new GrowingText(element.querySelector("pre"), this.#on.change) };
      this.#calls.set(index, call);
      this.#find(".calls").append(element);
    }
    if (name) call.name.textContent = name;
    call.text.append(piece ?? "");
    this.#heard("streaming", "Calling a tool");
  }

  quiet() {
    if (this.#stopping) return;
    this.#heard("waiting", "The model is quiet…");
    this.#on.say("The model is quiet.");
  }

  connected() {
    if (this.#state !== "reconnecting") return;
    this.#heard("waiting", "Connected again");
    this.#on.say("Connected again.");
  }

  reconnecting() {
    if (this.#stopping || this.#state === "reconnecting") return;
    this.#show("reconnecting", "Connection lost, reconnecting…");
    this.#on.say("The connection is lost. Reconnecting.");
  }

  /** The person has asked to stop. */
  stopping() {
    this.#stopping = true;
    this.#show("waiting", "Stopping…");
  }

  done(facts) {
    this.#name(facts.provider, facts.model);
    this.#setUsage(facts.usage);
    this.#set("finish", facts.finish_reason);
    this.#setFinalSpeed(facts);
    const remark = remarkOn(facts.finish_reason);
    if (remark) this.#remark(remark);
    this.#finish("done", "Done", `The answer is complete. ${remark ?? ""}`);
  }

  failed(failure) {
    if (failure.usage) this.#setUsage(failure.usage);
    this.#set("finish", failure.code);
    if (failure.code === "cancelled") {
      this.#remark(this.answer ? "Stopped. What had come until then is kept." : "Stopped before anything had come.");
      this.#finish("stopped", "Stopped", "Stopped.");
      return;
    }
    this.#stopClock = showFailure(this.#find(".failure"), failure, {
      again: () => this.#on.again(this),
      edit: () => this.#on.edit(this),
    });
    this.#finish("failed", "Failed", `${titleOf(failure)}. ${failure.message}`);
  }

  /** Take it off the page. */
  remove() {
    clearInterval(this.#ticking);
    this.#stopClock();
    this.element.remove();
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #set(name, text) {
    this.#find(`dd.${name}`).textContent = text;
  }

  #name(provider, model) {
    this.#find(".who").textContent = provider === model ? provider : `${provider} · ${model}`;
  }

  #show(state, text) {
    this.#state = this.element.dataset.state = state;
    this.#find(".state").textContent = text;
  }

  #heard(state, text) {
    this.#heardAt = performance.now();
    if (this.#state !== state || this.#find(".state").textContent !== text) this.#show(state, text);
  }

  #count() {
    this.#pieces += 1;
    if (this.#firstAt !== null) return;
    this.#firstAt = performance.now();
    this.#set("ttft", duration(this.#firstAt - this.#clickedAt));
    this.#on.say("The answer begins.");
  }

  #tick() {
    const now = performance.now();
    this.#set("elapsed", duration(now - this.#clickedAt));
    if (this.#state === "streaming") {
      // A piece is about a token; the count that is right comes at the end.
      const about = speed(this.#pieces, this.#heardAt - this.#firstAt);
      if (about) this.#set("speed", `≈ ${about}`);
    }
    const silence = now - this.#heardAt;
    if (silence > SILENCE_MS && this.#state !== "reconnecting") {
      this.#show("waiting", `Nothing heard from the server for ${duration(silence)}`);
    }
  }

  #setUsage(counts) {
    if (!counts) return;
    const cell = this.#find("dd.usage");
    cell.textContent = usage(counts);
    if (counts.estimated) {
      const mark = document.createElement("small");
      mark.textContent = " estimated";
      cell.append(mark);
    }
  }

  #setFinalSpeed({ usage: counts, ttft_ms: first, duration_ms: total }) {
    const rate = first === null || !counts ? null : speed(counts.completion_tokens, total - first);
    this.#set("speed", rate ?? "");
  }

  #remark(text) {
    const notice = this.#find(".notice");
    notice.textContent = text;
    notice.hidden = false;
  }

  #finish(state, text, said) {
    clearInterval(this.#ticking);
    this.#set("elapsed", duration(performance.now() - this.#clickedAt));
    this.#reasoning.flush();
    this.#answer.flush();
    for (const call of this.#calls.values()) call.text.flush();
    this.#find(".copy-answer").hidden = !this.answer;
    this.element.ariaBusy = "false";
    this.#show(state, text);
    this.#on.change();
    this.#on.say(said);
    this.#on.end(this);
  }
}
