/** The client of a streamserver: reads an answer to its end over a network that breaks. Documented in client.d.ts. */

const API_PATH = /\/(api\/(chat|providers|ai)|v1|openapi\.json|docs|client\.js)(\/.*)?$/;
/** After this many `keepalive_seconds` without a byte the connection is dead: the server sends a ping after one. */
const SILENCE = 1.8;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5000;
const SMOOTH_MS = 400;
const TICK_MS = 25;
/** The `keepalive_seconds` to assume until `start` tells it, and the most to assume. */
const KEEPALIVE = 15;
const MAX_KEEPALIVE = 200;
const page = globalThis.document;

export class StreamError extends Error {
  name = "StreamError";
  constructor(code, message, facts) {
    super(message);
    const unknown = { field: null, retryable: false, retryAfter: null, requestId: null, usage: null, status: null };
    Object.assign(this, unknown, { code, ...facts });
  }
}

export const stream = (url, options) => new Answer(url, { ...options });

export function resume(url, id, { after, ...options } = {}) {
  after ??= -1;
  check(typeof id === "string" && /^[\w-]{1,128}$/.test(id), "id", "is not a stream's id: 1 to 128 letters, digits, - and _");
  check(Number.isInteger(after) && after >= -1, "after", "is not a position: a whole number from 0");
  return new Answer(url, options, id, after + 1);
}

class Answer {
  id;
  #url;
  #body;
  #headers;
  #options;
  /** The number of the first event here, and of the last one that was given to a loop. */
  #first;
  #position;
  /** What arrived, in order and without gaps: [event, when, characters of text up to its end]. */
  #log = [];
  #chars = 0;
  #keepalive;
  /** Since when the server is not heard, null while it is. */
  #since = Date.now();
  /** The last refusal that may pass, since then. */
  #refusal;
  #heardAt;
  #attempt;
  #attempts = 0;
  #kick;
  #hurry;
  #paused = false;
  #stopping = false;
  #deletion;
  #left = false;
  #over = false;
  #error = null;
  #status;
  #waiting = [];
  #text;

  constructor(url, options, id = null, first = 0) {
    const { key, headers, signal, smooth, fetch, onStatus, giveUpAfter = 60, idempotencyKey = randomKey(), keepaliveSeconds = KEEPALIVE, ...body } =
      options;
    check(keepaliveSeconds > 0, "keepaliveSeconds", "is not a number of seconds above 0");
    check(giveUpAfter > 0, "giveUpAfter", "is not a number of seconds above 0");
    check(/^[!-~]{8,128}$/.test(idempotencyKey), "idempotencyKey", "is not 8 to 128 visible ASCII characters");
    check(/^[!-~]*$/.test(key ?? ""), "key", "is not visible ASCII characters");
    this.#options = { signal, smooth, onStatus, patience: giveUpAfter * 1000, fetch: fetch ?? ((...request) => globalThis.fetch(...request)) };
    this.#url = rootOf(url);
    this.#headers = attempted("headers", "are no HTTP headers", () => new Headers(headers));
    if (key) this.#headers.set("Authorization", `Bearer ${key}`);
    if (!id) {
      const { prompt, messages } = body;
      check((prompt == null) !== (messages == null), "prompt", "is missing, or given beside messages");
      check(prompt == null || (typeof prompt === "string" && prompt.trim()), "prompt", "is no text, or empty");
      check(messages == null || (Array.isArray(messages) && messages.length), "messages", "is no list, or empty");
      this.#body = attempted("body", "cannot be written as JSON", () => JSON.stringify(body));
      this.#headers.set("Idempotency-Key", idempotencyKey);
    }
    this.id = id;
    this.#keepalive = keepaliveSeconds;
    this.#first = first;
    this.#position = first - 1;
    if (signal?.aborted) this.#leave();
    else this.#start();
  }

  get position() {
    return this.#position < 0 ? null : this.#position;
  }

  get text() {
    return (this.#text ??= this.#whole());
  }

  async stop() {
    if (this.id && !this.#stopping && (this.#left || !this.#over)) {
      this.#stopping = true;
      // At once: the page may be leaving. And first of all: a browser has six connections to a host.
      this.#interrupt();
      await this.#delete().catch(() => {}); // repeated by the loop
    } else if (!this.#over && !this.id) {
      this.#stopping = true;
      if (!this.#attempt) this.#cancel();
    }
    return this.#ending();
  }

  async *[Symbol.asyncIterator]() {
    const { smooth } = this.#options;
    try {
      for (let index = 0; ; ) {
        if (index < this.#log.length) {
          const [event] = this.#log[index];
          if (smooth && event.text) yield* this.#paced(index);
          this.#position = Math.max(this.#position, this.#first + index++);
          if (!smooth || !event.text) yield event;
        } else if (!this.#over) await this.#change();
        else if (this.#error) throw this.#error;
        else return;
      }
    } finally {
      this.#leave();
    }
  }

  /** An event's text in pieces: all that waits is shown evenly, within SMOOTH_MS of its arrival. */
  async *#paced(index) {
    const [event, arrivedAt, end] = this.#log[index];
    for (let rest = [...event.text]; rest.length; ) {
      const ticks = (arrivedAt + SMOOTH_MS - Date.now()) / TICK_MS - 2;
      const atOnce = ticks < 1 || page?.hidden || globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches;
      const waiting = this.#chars - end + rest.length;
      yield { ...event, text: rest.splice(0, atOnce ? rest.length : Math.ceil(waiting / ticks)).join("") };
      if (!atOnce) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  async #whole() {
    await this.#ending();
    if (this.#error) throw this.#error;
    return this.#log.map(([event]) => (event.type === "text" ? event.text : "")).join("");
  }

  async #ending() {
    while (!this.#over) await this.#change();
    const last = this.#log.at(-1)?.[0];
    return this.#left ? null : (this.#error ?? (last?.type === "done" ? last : null));
  }

  #change() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #start() {
    this.#options.signal?.addEventListener("abort", this.#leave);
    this.#listen("addEventListener");
    this.#say("connecting");
    this.#run();
  }

  /** Request and read, again and again, until there is an ending or no more patience. */
  async #run() {
    for (let tries = 0; !this.#over; ) {
      this.#hurry = false;
      let error;
      try {
        await this.#connect();
      } catch (caught) {
        error = caught;
      }
      if (this.#over) return;
      if (error instanceof StreamError) {
        if (!this.#mayPass(error)) return this.#end(error);
        this.#refusal = error;
      }
      if (this.#stopping && !this.id) return this.#cancel();
      if (this.#since === null) {
        this.#since = Date.now();
        this.#refusal = error?.status ? error : null;
        tries = 0;
      }
      const left = this.#since + this.#options.patience - Date.now();
      if (left <= 0) return this.#end(this.#refusal ?? this.#lost(error));
      this.#say("reconnecting");
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** tries++, MAX_PAUSE_MS) * Math.random();
      if (!this.#hurry) await this.#sleep(Math.min(left, Math.max(pause, (error?.retryAfter ?? 0) * 1000)));
      while (this.#paused && !this.#over) await this.#sleep();
    }
  }

  /** Read one response to its end. Throws a StreamError for a refusal or an ending, anything else for a broken connection. */
  async #connect() {
    const attempt = (this.#attempt = new AbortController());
    let open = false;
    let timer;
    const silent = () => {
      // Resumed after `start`, which would have said it: the server may be alive, and have longer pauses.
      if (open && this.#first && this.#keepalive < MAX_KEEPALIVE) {
        this.#keepalive *= 2;
        this.#since = null;
      }
      attempt.abort();
    };
    const heard = () => {
      clearTimeout(timer);
      this.#heardAt = Date.now();
      const left = this.#since === null ? Infinity : this.#since + this.#options.patience - this.#heardAt;
      timer = setTimeout(silent, Math.min(SILENCE * this.#keepalive * 1000, Math.max(left, 0)));
    };
    heard();
    try {
      if (this.#stopping) await this.#delete();
      const response = await this.#request(attempt.signal);
      if (response.status === 204) return this.#end();
      if (response.status !== 200 || !typeOf(response).startsWith("text/event-stream")) throw await refusalOf(response);
      open = true;
      this.#say("open");
      const reader = response.body.getReader();
      // Deno may lose the signal once it has answered, when it collects garbage: the read would never end.
      attempt.signal.addEventListener("abort", () => reader.cancel().catch(() => {}));
      const decoder = new TextDecoder();
      let rest = "";
      for (let chunk; !(chunk = await reader.read()).done; ) {
        const blocks = (rest + decoder.decode(chunk.value, { stream: true })).split("\n\n");
        rest = blocks.pop(); // dropped at a cut: it comes again
        for (const block of blocks) if (!this.#over) this.#take(block);
        heard();
      }
    } finally {
      clearTimeout(timer);
      attempt.abort();
      this.#attempt = null;
    }
  }

  /** Start the generation, or find it by its key; once its id is known, go on after the last event. */
  #request(signal) {
    this.#attempts++;
    const headers = new Headers(this.#headers);
    if (!this.id) {
      headers.set("Content-Type", "application/json");
      return this.#options.fetch(`${this.#url}/api/chat/stream`, { method: "POST", headers, body: this.#body, signal });
    }
    headers.delete("Idempotency-Key");
    const next = this.#first + this.#log.length;
    if (next) headers.set("Last-Event-ID", `${this.id}:${next - 1}`);
    return this.#options.fetch(this.#streamUrl, { headers, signal, cache: "no-store" });
  }

  #delete() {
    const request = { method: "DELETE", headers: this.#headers, keepalive: true, signal: AbortSignal.timeout(2000 * this.#keepalive) };
    return (this.#deletion ??= this.#options
      .fetch(this.#streamUrl, request)
      .then(async (response) => {
        if (response.status !== 204 && response.status !== 404) throw await refusalOf(response);
      })
      .catch((error) => {
        this.#deletion = null;
        throw error;
      }));
  }

  get #streamUrl() {
    return `${this.#url}/api/chat/streams/${this.id}`;
  }

  #take(block) {
    const data = [];
    const fields = { event: "text" };
    for (const line of block.split("\n")) {
      const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
      if (name === "data") data.push(value);
      else fields[name] = value;
    }
    if (!data.length) return;
    const text = data.join("\n");
    const type = fields.event;
    if (type === "ping") {
      this.#since = null;
      return this.#say("quiet");
    }
    const [, id, number] = /^([\w-]+):(\d+|end)$/.exec(fields.id) ?? [];
    if (!id || (this.id && id !== this.id)) throw notOurs(200, "text/event-stream");
    const next = this.#first + this.#log.length;
    if (number < next) return; // seen before
    if (number > next) throw new Error(`event ${next} is missing`); // asked for again
    const event = type === "text" ? { type, text } : { ...JSON.parse(text), type };
    this.id = id;
    this.#since = null;
    this.#say("open");
    if (type === "error") throw errorOf(event, event.message);
    if (type === "start") this.#keepalive = event.keepalive_seconds ?? this.#keepalive;
    this.#chars += event.text?.length ?? 0;
    this.#log.push([event, Date.now(), this.#chars]);
    if (type === "done") this.#end();
    else if (this.#stopping && !this.#deletion) this.#interrupt();
    this.#changed();
  }

  /** Whether to go on after a refusal: a gateway's error passes, and so does a full or restarting server for a stream that runs. */
  #mayPass({ status, code }) {
    if (this.id) return [200, 408, 429].includes(status) || status >= 500;
    return status >= 500 && (code === NOT_OURS || this.#attempts > 1);
  }

  /** The connection is given up now, and a new one begun without a pause. */
  #interrupt() {
    this.#hurry = true;
    this.#attempt?.abort();
    this.#kick?.();
  }

  #wake = ({ type }) => {
    if (type === "pagehide") {
      this.#paused = true; // a page with a connection is not kept in the back/forward cache
      return this.#attempt?.abort();
    }
    if (type === "pageshow") this.#paused = false;
    if (page?.hidden) return;
    if (this.#since !== null) this.#since = Date.now();
    // A connection from before the network changed, or that is overdue, is not waited for.
    if (type === "online" || !this.#attempt || Date.now() - this.#heardAt > this.#keepalive * 1000) this.#interrupt();
  };

  #listen(method) {
    for (const type of ["online", "pageshow", "pagehide"]) globalThis[method]?.(type, this.#wake);
    for (const type of ["visibilitychange", "resume"]) page?.[method](type, this.#wake);
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = ms === undefined ? 0 : setTimeout(resolve, ms);
      this.#kick = () => (clearTimeout(timer), resolve());
    });
  }

  #say(status) {
    const { onStatus } = this.#options;
    if (status !== this.#status && onStatus) queueMicrotask(() => onStatus(status));
    this.#status = status;
  }

  #leave = () => {
    this.#left ||= !this.#over;
    this.#end(this.#options.signal?.reason ?? new DOMException("The answer was left before its end.", "AbortError"));
  };

  #cancel() {
    this.#end(new StreamError("cancelled", "The answer was stopped before it began."));
  }

  #lost(cause) {
    const message = `The server ${this.id ? "was lost" : "could not be reached"} for ${this.#options.patience / 1000} s.`;
    return new StreamError(this.id ? "connection_lost" : "unreachable", message, { retryable: true, cause });
  }

  #end(error = null) {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#options.signal?.removeEventListener("abort", this.#leave);
    this.#listen("removeEventListener");
    this.#attempt?.abort();
    this.#kick?.();
    this.#changed();
  }

  #changed() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const NOT_OURS = "not_a_streamserver";

const typeOf = (response) => response.headers.get("Content-Type") ?? "";

function notOurs(status, type) {
  const message = `This is not a streamserver, or a proxy changed its answer: status ${status}, content type ${type || "none"}.`;
  return new StreamError(NOT_OURS, message, { status, retryable: status >= 500 });
}

async function refusalOf(response) {
  const { status, headers } = response;
  const retryAfter = Number.parseInt(headers.get("Retry-After"), 10) || null;
  const body = typeOf(response).includes("json") ? await response.json().catch(() => null) : null;
  if (!body?.code || !body.detail) return Object.assign(notOurs(status, typeOf(response)), { retryAfter });
  return errorOf({ ...body, retry_after: retryAfter, retryable: status === 429 || status >= 500 }, body.detail, status);
}

const errorOf = ({ code, field = null, retryable, retry_after: retryAfter, request_id: requestId = null, usage = null }, message, status = null) =>
  new StreamError(code, message, { field, retryable, retryAfter, requestId, usage, status });

function check(holds, field, problem) {
  if (!holds) throw new StreamError("invalid_request", `${field} ${problem}.`, { field });
}

function attempted(field, problem, make) {
  try {
    return make();
  } catch {
    check(false, field, problem);
  }
}

function rootOf(text) {
  const url = attempted("url", `is not a URL: ${text}`, () => new URL(text, globalThis.location?.href));
  check(/^https?:$/.test(url.protocol) && !url.username, "url", "is not an http or https URL without a password");
  return url.origin + url.pathname.replace(API_PATH, "").replace(/\/+$/, "");
}

/** Not randomUUID, which browsers have over https alone. */
const randomKey = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18))));
