/** Reading one answer for a listener. Knows nothing of the page. */

import { StreamError } from "./client.js";

/** So long a burst of events may keep the page from drawing and from answering to clicks. */
const BURST_MS = 8;

/**
 * An answer that is being read, until `done` or `failed` has been told, or it is left.
 *
 * `listener` has a method for each thing that happens: `start(facts)`, `text(piece)`, `reasoning(piece)`,
 * `toolCall(piece)`, `quiet()`, `connected()`, `reconnecting()`, `done(facts)`, `failed(facts)`.
 */
export class Reading {
  #answer;
  #events;
  #exchange;
  #leaving = new AbortController();
  #listener = null;
  #burstAt = 0;

  /** `open(options)` starts the answer, `exchange` is told of it. */
  constructor({ exchange, open }) {
    this.#exchange = exchange;
    this.#answer = open({ onStatus: (status) => this.#tellStatus(status), signal: this.#leaving.signal });
    this.#events = this.#answer[Symbol.asyncIterator]();
  }

  get exchange() {
    return this.#exchange;
  }

  /** Wait until the answer begins; returns its first event. Throws a `StreamError` if it never does. */
  async begun() {
    try {
      return (await this.#events.next()).value;
    } catch (error) {
      this.#exchange.tell("end", { failure: failureOf(error) });
      throw error;
    }
  }

  /** Tell `listener` of `first` and of everything that follows. */
  async read(first, listener) {
    this.#listener = listener;
    try {
      this.#tell(first);
      for await (const event of this.#events) {
        this.#tell(event);
        if (performance.now() - this.#burstAt > BURST_MS) await this.#breathe();
      }
    } catch (error) {
      const failure = failureOf(error);
      this.#exchange.tell("end", { failure });
      if (error instanceof StreamError) this.#listener?.failed(failure);
      else if (!this.#leaving.signal.aborted) throw error;
    }
  }

  /** Stop the generation; what came until then, and its ending, are still told. */
  stop() {
    return this.#answer.stop();
  }

  /** Read no more, and tell no more. The generation goes on while others read it, or until the server's grace is over. */
  leave() {
    this.#listener = null;
    this.#leaving.abort();
  }

  /** Let the browser draw: what waits is read in bursts, and microtasks alone would let nothing else happen. */
  async #breathe() {
    await (globalThis.scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve)));
    this.#burstAt = performance.now();
  }

  #tell(event) {
    const listener = this.#listener;
    this.#exchange.tell("event", { event, position: this.#answer.position });
    if (event.type === "start") listener?.start(event);
    else if (event.type === "text") listener?.text(event.text);
    else if (event.type === "reasoning") listener?.reasoning(event.text);
    else if (event.type === "tool_call") listener?.toolCall(event);
    else if (event.type === "done") {
      this.#exchange.tell("end", { done: event });
      listener?.done(event);
    }
  }

  #tellStatus(status) {
    this.#exchange.tell("status", { status });
    if (status === "open") this.#listener?.connected();
    else if (status === "quiet") this.#listener?.quiet();
    else if (status === "reconnecting") this.#listener?.reconnecting();
  }
}

function failureOf({ code, message, retryable = false, retryAfter = null, requestId = null, usage = null }) {
  return { code, message, retryable, retry_after: retryAfter, request_id: requestId, usage };
}
