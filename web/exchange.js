/**
 * What happens between the page and the server, for the parts of the page that show it.
 *
 * `exchanges` is an `EventTarget`: it dispatches `exchange` whenever a new {@link Exchange} begins, and its `current` is
 * the newest one (null before the first question).
 *
 * An `Exchange` is one answer, from the click to its ending, over as many connections as that takes. It dispatches
 * `CustomEvent`s. The `detail` of each has `at`, in `performance.now()`'s terms, and:
 *
 * - `request`: `{number, method, url, headers, body}`: an HTTP request goes out. `number` counts from 1; `headers` is an
 *   object with lower-case names; `body` is the text sent, or null. The first is a `POST` (a `GET` if an answer is
 *   resumed after a reload), a later `GET` is a reconnection, `DELETE` stops the generation.
 * - `response`: `{number, status, headers}`: the headers of the response to request `number`.
 * - `raw`: `{number, text}`: a piece of the body of response `number`, as the network gave it: blocks of Server-Sent
 *   Events, `ping` included, cut anywhere.
 * - `broken`: `{number, message}`: request `number` failed, or its body broke off.
 * - `event`: `{event, position}`: an event as the client library gives it, each once and in order: `start`, `text`,
 *   `reasoning`, `tool_call`, `done` (see client.d.ts). `position` is its number in the stream.
 * - `status`: `{status}`: `connecting`, `open`, `quiet` or `reconnecting`.
 * - `end`: `{done}` or `{failure}`: the `done` event, or `{code, message, retryable, retry_after, request_id, usage}`. It
 *   comes last, and always comes.
 *
 * A listener that comes late reads `history`: `[type, detail]` of everything that was dispatched. `startedAt` is the
 * click, `body` the request's JSON (null for an answer that is resumed after a reload), `url` the server's root.
 */
export class Exchange extends EventTarget {
  history = [];
  ended = false;
  #requests = 0;

  constructor(url, body, startedAt = performance.now()) {
    super();
    this.url = url;
    this.body = body;
    this.startedAt = startedAt;
  }

  /** Keep and dispatch. */
  tell(type, facts) {
    const detail = { at: performance.now(), ...facts };
    this.history.push([type, detail]);
    if (type === "end") this.ended = true;
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** `fetch` that tells of its request, its response and the pieces of its body. */
  fetch = async (url, options = {}) => {
    const number = ++this.#requests;
    const { method = "GET", headers, body = null } = options;
    this.tell("request", { number, method, url: String(url), headers: plain(headers), body });
    try {
      const response = await fetch(url, options);
      this.tell("response", { number, status: response.status, headers: plain(response.headers) });
      return response.status === 200 ? this.#watched(response, number) : response;
    } catch (error) {
      this.tell("broken", { number, message: String(error.message ?? error) });
      throw error;
    }
  };

  #watched(response, number) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const pull = async (controller) => {
      try {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        this.tell("raw", { number, text: decoder.decode(value, { stream: true }) });
        controller.enqueue(value);
      } catch (error) {
        this.tell("broken", { number, message: String(error.message ?? error) });
        controller.error(error);
      }
    };
    const body = new ReadableStream({ pull, cancel: (reason) => reader.cancel(reason) });
    return new Response(body, { status: response.status, headers: response.headers });
  }
}

class Exchanges extends EventTarget {
  current = null;

  /** Make `exchange` the current one. */
  begin(exchange) {
    this.current = exchange;
    this.dispatchEvent(new CustomEvent("exchange", { detail: exchange }));
    return exchange;
  }
}

export const exchanges = new Exchanges();

/** Headers without the API key: what is shown, or copied, gives no secret away. */
function plain(headers) {
  const all = Object.fromEntries(new Headers(headers));
  if (all.authorization) all.authorization = "Bearer YOUR_KEY";
  return all;
}
