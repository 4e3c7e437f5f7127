/** The calls to the server that are no streams. Knows nothing of the page. */

// Relative to this file, so that it works under any path that the server is mounted at.
const ROOT = new URL("api/", import.meta.url);
const KEY = "streamserver-key";

/** A request that was refused, or did not get through. `message` is for the person at the screen. */
export class Refusal extends Error {
  constructor({ code, detail, field = null, request_id = null }, retryAfter = null) {
    super(detail);
    this.code = code;
    this.field = field;
    this.requestId = request_id;
    /** Seconds, null where unknown. */
    this.retryAfter = retryAfter;
  }
}

let key = remembered();

/** Use `value` as the API key from now on, in this tab. */
export function useKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // Storage is forbidden here: the key lives as long as the page.
  }
}

/** Whether a key is sent. */
export const hasKey = () => key !== "";

/** `{default, providers: [{name, kind, model, ready, reason}]}` */
export const fetchProviders = () => call("GET", "providers");

/** Start a generation; `{stream_id}`. */
export const createStream = (body, signal) => call("POST", "chat/streams", { body, signal });

/** Stop a generation; resolves when its ending is written. `leaving`: the page is on its way out. */
export const deleteStream = (streamId, { leaving = false } = {}) =>
  call("DELETE", `chat/streams/${streamId}`, { keepalive: leaving });

/** Where a stream is read. */
export const streamUrl = (streamId) => new URL(`chat/streams/${streamId}`, ROOT);

async function call(method, path, { body, signal, keepalive } = {}) {
  const headers = new Headers();
  if (key) headers.set("Authorization", `Bearer ${key}`);
  if (body) headers.set("Content-Type", "application/json");
  let response;
  try {
    response = await fetch(new URL(path, ROOT), { method, headers, signal, keepalive, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ code: "unreachable", detail: "The server cannot be reached. Is it running, and are you online?" });
  }
  if (!response.ok) throw await refusalOf(response);
  return response.status === 204 ? null : response.json();
}

async function refusalOf(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const retryAfter = Number.isNaN(seconds) ? null : seconds;
  try {
    return new Refusal(await response.json(), retryAfter);
  } catch {
    // No problem+json: a proxy in between answered.
    return new Refusal({ code: `http_${response.status}`, detail: `The server could not be asked: the answer was ${response.status}.` }, retryAfter);
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
