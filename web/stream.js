/** Reading one answer for a listener. Knows nothing of the page. */

import { StreamError } from "./client.js";

/**
 * An answer that is being read, until `done` or `failed` has been told, or it is abandoned.
 *
 * `listener` has a method for each thing that happens: `start(facts)`, `text(piece)`, `reasoning(piece)`,
 * `toolCall(piece)`, `quiet()`, `connected()`, `reconnecting()`, `done(facts)`, `failed(facts)`.
 */
export class Reading {
  #answer;
  #events;
  #exchange;
  #listener = null;

  /** `open(onStatus)` starts the answer, `exchange` is told of it. */
  constructor({ exchange, open }) {
    this.#exchange = exchange;
    this.#answer = open((status) => this.#tellStatus(status));
    this.#events = this.#answer[Symbol.asyncIterator]();
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
      for await (const event of this.#events) this.#tell(event);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      const failure = failureOf(error);
      this.#exchange.tell("end", { failure });
      this.#listener?.failed(failure);
    }
  }

  /** Stop the generation; what came until then, and its ending, are still told. */
  stop() {
    return this.#answer.stop();
  }

  /** Stop the generation, and tell no more. */
  abandon() {
    this.#listener = null;
    this.stop();
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

function failureOf({ code, message, retryable, retryAfter, requestId, usage }) {
  return { code, message, retryable, retry_after: retryAfter, request_id: requestId, usage };
}
