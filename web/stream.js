/** Reading one stream with the browser's own EventSource. Knows nothing of the page. */

import { deleteStream, streamUrl } from "./api.js";

const GIVE_UP_MS = 30_000;
const REOPEN_MS = 1_000;

/**
 * A stream that is being read, until `done`, `failed` or `lost` has been told.
 *
 * `listener` has a method for each thing that happens: `start(facts)`, `text(piece)`, `reasoning(piece)`,
 * `toolCall(piece)`, `quiet()`, `connected()`, `reconnecting()`, `done(facts)`, `failed(facts)`, `lost()`.
 */
export class Reading {
  #id;
  #listener;
  #source = null;
  #position = "";
  #brokenSince = null;
  #reopening;

  constructor(streamId, listener) {
    this.#id = streamId;
    this.#listener = listener;
    this.#open();
  }

  /** Stop the generation, then read what had come until then, and its ending. */
  async stop() {
    // First: a browser has six connections to a host, and other tabs may hold the rest.
    this.close();
    try {
      await deleteStream(this.#id);
    } catch (refusal) {
      const message = "The server could not be told to stop. It does so by itself when nobody reads any more.";
      this.#listener.failed({ code: refusal.code, message, retryable: true, request_id: refusal.requestId });
      return;
    }
    this.#open();
  }

  /** The page is leaving: nobody will read the rest, so nobody should pay for it. */
  abandon() {
    this.close();
    deleteStream(this.#id, { leaving: true }).catch(() => {});
  }

  /** Read no further. */
  close() {
    clearTimeout(this.#reopening);
    this.#source?.close();
  }

  #open() {
    const url = streamUrl(this.#id);
    if (this.#position) url.searchParams.set("last_event_id", this.#position);
    const source = (this.#source = new EventSource(url));
    const on = (name, tell) =>
      source.addEventListener(name, (event) => {
        if (event.lastEventId) this.#position = event.lastEventId;
        tell(event.data);
      });
    source.onopen = () => this.#opened();
    on("start", (data) => this.#listener.start(JSON.parse(data)));
    on("message", (data) => this.#listener.text(data));
    on("reasoning", (data) => this.#listener.reasoning(JSON.parse(data).text));
    on("tool_call", (data) => this.#listener.toolCall(JSON.parse(data)));
    on("ping", () => this.#listener.quiet());
    on("done", (data) => this.#end("done", JSON.parse(data)));
    // Two things go by this name: the server's event, which has data, and a broken connection, which has none.
    on("error", (data) => (data === undefined ? this.#broken() : this.#end("failed", JSON.parse(data))));
  }

  #opened() {
    this.#brokenSince = null;
    this.#listener.connected();
  }

  #end(how, facts) {
    // Else EventSource would come back for more.
    this.close();
    this.#listener[how](facts);
  }

  #broken() {
    this.#brokenSince ??= performance.now();
    if (performance.now() - this.#brokenSince > GIVE_UP_MS) {
      this.#end("lost");
      return;
    }
    this.#listener.reconnecting();
    // EventSource comes back by itself, but not after an answer that is no stream: a proxy's 502, say.
    if (this.#source.readyState === EventSource.CLOSED) {
      this.#reopening = setTimeout(() => this.#open(), REOPEN_MS);
    }
  }
}
