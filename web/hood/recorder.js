/** What is known of one exchange: figures, gaps between tokens, and its newest raw events. Its memory is bounded. */

import { tokensPerSecond } from "../messages.js";

export const KEPT_EVENTS = 200;
export const KEPT_GAPS = 240;
const TOKENS = new Set(["message", "reasoning", "tool_call"]);

export class Recorder {
  requests = [];
  responses = new Map();
  start = null;
  end = null;
  status = "connecting";
  tokens = 0;
  events = 0;
  pings = 0;
  gaps = [];
  /** The newest raw events, the oldest first: `{number, at, name, text}`. */
  raw = [];
  firstAt = null;
  lastAt = null;
  endedAt = null;
  #startedAt;
  #rests = new Map();

  constructor(exchange) {
    this.#startedAt = exchange.startedAt;
  }

  /** The milliseconds since the click. */
  since(at) {
    return at - this.#startedAt;
  }

  get reconnects() {
    return Math.max(0, this.requests.filter(({ method }) => method !== "DELETE").length - 1);
  }

  /** Tokens per second, by the tokens that are paid once they are known; null where that says nothing. */
  get perSecond() {
    if (this.firstAt === null) return null;
    const paid = (this.end?.done ?? this.end?.failure)?.usage?.completion_tokens;
    return tokensPerSecond(paid ?? this.tokens, this.lastAt - this.firstAt);
  }

  get lastResponse() {
    return [...this.responses.values()].at(-1);
  }

  /** Take what an exchange told of. */
  take(type, detail) {
    if (type === "request") this.requests.push(detail);
    else if (type === "response") this.responses.set(detail.number, detail);
    else if (type === "raw") this.#takeRaw(detail);
    else if (type === "status") this.status = detail.status;
    else if (type === "event" && detail.event.type === "start") this.start = detail.event;
    else if (type === "end") {
      this.end = detail;
      this.endedAt = detail.at;
    }
  }

  #takeRaw({ number, text, at }) {
    const blocks = ((this.#rests.get(number) ?? "") + text).split("\n\n");
    this.#rests.set(number, blocks.pop());
    for (const block of blocks) this.#takeBlock(block, at);
  }

  #takeBlock(block, at) {
    const name = /^event: ?(.*)$/m.exec(block)?.[1] ?? "message";
    this.events += 1;
    this.raw.push({ number: this.events, at: this.since(at), name, text: block });
    if (this.raw.length > KEPT_EVENTS) this.raw.shift();
    if (name === "ping") this.pings += 1;
    if (TOKENS.has(name)) this.#takeToken(at);
  }

  #takeToken(at) {
    this.tokens += 1;
    this.firstAt ??= at;
    if (this.lastAt !== null) this.gaps.push(at - this.lastAt);
    if (this.gaps.length > KEPT_GAPS) this.gaps.shift();
    this.lastAt = at;
  }
}

/** The value below which `share` of `values` are. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
