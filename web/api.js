/** The calls to the server, with the API key of this tab. Knows nothing of the page. */

import { StreamError, resume, stream } from "./client.js";
import { Exchange, exchanges } from "./exchange.js";
import { patient } from "./patience.js";

// Relative to this file, so that it works under any path that the server is mounted at.
const ROOT = new URL(".", import.meta.url);
const KEY = "streamserver-key";
/** The page decides itself when to give up, by what goes wrong: see patience.js. */
const NEVER_SECONDS = 1_000_000;

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

/** The header with the key, for a request of its own. */
export const keyHeaders = () => (key ? { Authorization: `Bearer ${key}` } : {});

/** The address of `path` on the server. */
export const addressOf = (path) => new URL(path, ROOT).href;

/** Start a generation that is no part of the conversation; `options` are those of the client library. */
export const askAside = (body, options) => stream(ROOT, { ...body, key, ...options });

/** Start a generation, as a new current {@link Exchange}: `{exchange, open(options)}`, where `open` gives the answer. */
export function ask(body, clickedAt) {
  const exchange = exchanges.begin(new Exchange(ROOT.href, body, clickedAt));
  return { exchange, open: (options) => stream(ROOT, { ...body, ...optionsOf(exchange), ...options }) };
}

/** Read a stream by its id from its start, as a new current exchange. */
export function readAgain(streamId) {
  const exchange = exchanges.begin(new Exchange(ROOT.href, null));
  return { exchange, open: (options) => resume(ROOT, streamId, { ...optionsOf(exchange), ...options }) };
}

/** `{default, providers: [{name, kind, model, models, ready, reason, breaker}]}`; throws a `StreamError`. */
export async function fetchProviders() {
  let response;
  try {
    response = await fetch(new URL("api/providers", ROOT), { headers: keyHeaders() });
  } catch {
    throw new StreamError("unreachable", "The server cannot be reached. Is it running, and are you online?");
  }
  if (!response.ok) throw await refusalOf(response);
  return response.json();
}

const optionsOf = (exchange) => ({ key, giveUpAfter: NEVER_SECONDS, fetch: patient(exchange.fetch) });

async function refusalOf(response) {
  const { status } = response;
  try {
    const { code, detail, request_id: requestId } = await response.json();
    return new StreamError(code, detail, { status, requestId });
  } catch {
    // No problem+json: a proxy in between answered.
    return new StreamError(`http_${status}`, `The server could not be asked: the answer was ${status}.`, { status });
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
