/** The panel's elements. */

import { Facts, make } from "../elements.js";
import { duration, speed, usage } from "../messages.js";
import { describe, Plot } from "./plot.js";
import { KEPT_EVENTS } from "./recorder.js";

export class HoodView {
  #empty = make("p", { className: "hood-note", textContent: "Send a message, and watch what happens between the page and the server." });
  #content = make("div", { className: "hood-content", hidden: true });
  #facts = new Facts();
  #plot = new Plot();
  #gaps = make("p", { className: "hood-note" });
  #headers = new Facts();
  #requests = make("ol", { className: "hood-requests" });
  #raw = make("pre", { className: "hood-raw", tabIndex: 0, role: "group", ariaLabel: "Raw events" });
  #kept = make("p", { className: "hood-note" });
  #shown = null;
  #lastEvent = 0;

  constructor(panel) {
    this.#content.append(
      this.#facts.element,
      section("Gaps between tokens", this.#plot.element, this.#gaps),
      section("Raw events", this.#kept, this.#raw),
      section("Requests", this.#requests),
      section("Response headers", this.#headers.element),
    );
    panel.append(make("h2", { className: "hood-title", textContent: "Under the hood" }), this.#empty, this.#content);
  }

  /** Show what `recorder` knows; null: nothing was asked yet. */
  show(recorder) {
    this.#empty.hidden = recorder !== null;
    this.#content.hidden = recorder === null;
    if (!recorder) return;
    if (recorder !== this.#shown) this.#clear(recorder);
    this.#showFacts(recorder);
    this.#plot.show(recorder.gaps);
    this.#gaps.textContent = `${describe(recorder.gaps)}.`;
    this.#showRequests(recorder);
    this.#showRaw(recorder);
  }

  #clear(recorder) {
    this.#shown = recorder;
    this.#lastEvent = 0;
    this.#facts.clear();
    this.#headers.clear();
    this.#requests.replaceChildren();
    this.#raw.replaceChildren();
  }

  #showFacts(recorder) {
    const { start, end, status, tokens, events, pings, reconnects, firstAt, endedAt, perSecond } = recorder;
    const done = end?.done ?? null;
    const failure = end?.failure ?? null;
    const counts = (done ?? failure)?.usage ?? null;
    const set = (name, value) => this.#facts.set(name, value ?? "–");
    set("Request id", start?.request_id ?? failure?.request_id);
    set("Provider and model", start && `${done?.provider ?? start.provider} · ${done?.model ?? start.model}`);
    set("State", failure ? failure.code : done ? "done" : status);
    set("First token, in the browser", firstAt === null ? null : duration(recorder.since(firstAt)));
    set("First token, by the server", done?.ttft_ms == null ? null : duration(done.ttft_ms));
    set("Tokens per second", perSecond === null ? null : speed(perSecond));
    set("Duration", endedAt === null ? null : duration(recorder.since(endedAt)));
    set("Events", `${events.toLocaleString("en")} (with tokens: ${tokens.toLocaleString("en")}, pings: ${pings})`);
    set("Reconnects", reconnects);
    set("Finish reason", done?.finish_reason ?? failure?.code);
    set("Paid", counts ? `${usage(counts)} tokens${counts.estimated ? ", estimated" : ""}` : end && paidWithout(failure));
  }

  #showRequests({ requests, responses, lastResponse }) {
    for (const { number, method, url, headers } of requests.slice(this.#requests.childElementCount)) {
      const after = headers["last-event-id"] ? `, after event ${headers["last-event-id"].split(":")[1]}` : "";
      this.#requests.append(make("li", {}, `${method} ${new URL(url).pathname}${after} `, make("span", { className: "hood-status" })));
      this.#requests.lastChild.dataset.number = number;
    }
    for (const item of this.#requests.children) {
      const response = responses.get(Number(item.dataset.number));
      if (response) item.lastChild.textContent = `→ ${response.status}`;
    }
    for (const [name, value] of Object.entries(lastResponse?.headers ?? {})) this.#headers.set(name, value);
  }

  #showRaw({ raw, events }) {
    const atEnd = this.#raw.scrollHeight - this.#raw.scrollTop - this.#raw.clientHeight < 8;
    const fresh = raw.filter(({ number }) => number > this.#lastEvent);
    for (const { at, text } of fresh) this.#raw.append(make("span", { textContent: `${text}\n\n`, title: `after ${duration(at)}` }));
    while (this.#raw.childElementCount > KEPT_EVENTS) this.#raw.firstChild.remove();
    this.#lastEvent = events;
    const dropped = events - raw.length;
    this.#kept.textContent = dropped ? `The newest ${KEPT_EVENTS} are kept; ${dropped.toLocaleString("en")} older ones were dropped.` : "As they come, byte for byte.";
    if (atEnd) this.#raw.scrollTop = this.#raw.scrollHeight;
  }
}

/** What was paid if the ending has no counts: only an ending from the server says that it was nothing. */
const paidWithout = (failure) => (["connection_lost", "unreachable"].includes(failure?.code) ? "not known" : "nothing");

const section = (title, ...children) => make("section", {}, make("h3", { textContent: title }), ...children);
