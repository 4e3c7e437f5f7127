/** The text of the page's messages. Knows nothing of the page. */

const TITLES = {
  rate_limited: "Too many requests",
  quota_exceeded: "No credit left",
  overloaded: "The model is overloaded",
  provider_auth: "This server has no working key for the provider",
  model_not_found: "No such model",
  context_length: "Too long for this model",
  content_filter: "Blocked by the provider’s filter",
  invalid_request: "The provider did not take this request",
  upstream_unavailable: "The provider cannot be reached",
  upstream_error: "The provider failed",
  upstream_disconnected: "The answer broke off",
  timeout: "The model took too long",
  shutting_down: "The server is restarting",
  producer_lost: "The answer broke off",
  stream_expired: "This answer is gone",
  too_large: "The answer grew too large",
  internal: "Something went wrong in the server",
  connection_lost: "The connection is lost",
  unreachable: "The server cannot be reached",
};

const ADVICE = {
  quota_exceeded: "The operator of this server has to top up the account. Another provider may work.",
  provider_auth: "The operator of this server has to set the provider’s key. Another provider may work.",
  model_not_found: "Another provider may work.",
  context_length: "Shorten the prompt, or start a new chat.",
  content_filter: "Another wording may pass.",
  stream_expired: "What had come is kept. Retry asks the question again.",
};

const ENDINGS = {
  length: "it reached its token limit. Max tokens, under Options, may allow a longer one.",
  content_filter: "the provider’s filter cut it short. Another wording may pass.",
  tool_calls: "the model asks for a tool to be called, and this page has none to call.",
};

/** A failure's heading. */
export const titleOf = (failure) => TITLES[failure.code] ?? "That did not work";

/** `text` as a sentence: a bare reason gets its full stop. */
export const sentence = (text) => (/[.!?…]$/.test(text) ? text : `${text}.`);

/** What one can do about a failure, where its message does not say it. */
export function adviceFor(failure) {
  if (failure.retryable) return /try again/i.test(failure.message) ? "" : "You can try again.";
  return ADVICE[failure.code] ?? "Trying again as it is will not help.";
}

/** What is unusual about how an answer ended, in a sentence that names the finish reason; null if nothing is. */
export function remarkOn(finishReason) {
  if (finishReason === "stop") return null;
  const known = ENDINGS[finishReason];
  if (known) return `The answer ended with “${finishReason}”: ${known}`;
  return `The answer ended with “${finishReason}”, the provider’s own word for why it stopped. It may not be complete.`;
}

/** A code and a request id, for the operator. */
export const smallPrint = (code, requestId) => (requestId ? `${code} · request ${requestId}` : code);

/** A time: `212 ms`, `3.4 s`, `2 min 5 s`. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** What came at once says nothing about a speed. */
const LEAST_MS = 20;

/** Tokens per second. `tokens` took `ms`, from the first to the last; null where that says nothing. */
export const tokensPerSecond = (tokens, ms) => (tokens < 2 || ms < LEAST_MS ? null : ((tokens - 1) * 1000) / ms);

/** A speed: `45 tokens/s`. */
export const speed = (perSecond) =>
  `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en")} tokens/s`;

/** Token counts. */
export function usage({ prompt_tokens: read, completion_tokens: written, estimated }) {
  return `${estimated ? "≈ " : ""}${read.toLocaleString("en")} in + ${written.toLocaleString("en")} out`;
}
