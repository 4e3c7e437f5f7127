/**
 * Reads a streamserver's answers to their end over a network that breaks.
 *
 * An answer is started once, under an idempotency key, and resumed after its last event whenever the connection
 * breaks: each event arrives once and in order, and there is exactly one ending.
 */

/** The counts of a generation; `estimated` if the provider did not give them. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  estimated: boolean;
}

/** The generation has begun. The server sends a sign of life at least every `keepalive_seconds`. */
export interface StartEvent {
  type: "start";
  stream_id: string;
  request_id: string;
  provider: string;
  model: string;
  keepalive_seconds: number;
}

/** The next piece of the answer. */
export interface TextEvent {
  type: "text";
  text: string;
}

/** The next piece of the model's reasoning. */
export interface ReasoningEvent {
  type: "reasoning";
  text: string;
}

/** A piece of a tool call: `id` and `name` come with its first piece, else null; `arguments` is a piece of JSON. */
export interface ToolCallEvent {
  type: "tool_call";
  index: number;
  id: string | null;
  name: string | null;
  arguments: string;
  extra?: Record<string, unknown>;
}

/** The answer is complete. */
export interface DoneEvent {
  type: "done";
  finish_reason: "stop" | "length" | "tool_calls" | "content_filter" | (string & {});
  provider: string;
  model: string;
  usage: Usage | null;
  ttft_ms: number | null;
  duration_ms: number;
}

export type StreamEvent = StartEvent | TextEvent | ReasoningEvent | ToolCallEvent | DoneEvent;

/** Every code that the server gives a refusal or a stream's error, and those of this client. */
export type ErrorCode =
  | "rate_limited" | "quota_exceeded" | "overloaded" | "provider_auth" | "model_not_found" | "context_length"
  | "content_filter" | "invalid_request" | "upstream_unavailable" | "upstream_error" | "upstream_disconnected"
  | "timeout" | "cancelled" | "shutting_down" | "producer_lost" | "stream_expired" | "too_large" | "internal"
  | "malformed" | "unauthorized" | "forbidden" | "not_found" | "method_not_allowed" | "request_timeout"
  | "body_too_large" | "unsupported_media_type" | "store_unavailable"
  /** The server was never reached, or not any more, for `giveUpAfter` seconds. */
  | "unreachable" | "connection_lost"
  /** What answered is no streamserver, or a proxy changed its answer. */
  | "not_a_streamserver"
  | (string & {});

/** Why there is no (whole) answer. A wrong argument is thrown at once, everything else ends the iteration. */
export class StreamError extends Error {
  constructor(code: ErrorCode, message: string, facts?: Partial<StreamError>);
  name: "StreamError";
  code: ErrorCode;
  /** The argument or the request's field that is wrong. */
  field: string | null;
  /** Whether the same request may work later. */
  retryable: boolean;
  /** Seconds, where the server or the provider gave them. */
  retryAfter: number | null;
  requestId: string | null;
  usage: Usage | null;
  /** The HTTP status of a refusal. */
  status: number | null;
}

/** `quiet`: connected, and the model says nothing. `reconnecting`: the connection broke, or the server was not reached. */
export type Status = "connecting" | "open" | "quiet" | "reconnecting";

export interface ReadOptions {
  /** An API key of the server. */
  key?: string;
  /** Further headers of every request. */
  headers?: HeadersInit;
  /** Aborting leaves the answer: iterating throws the signal's reason. The server's grace decides what becomes of it. */
  signal?: AbortSignal;
  /** Show a burst evenly: text comes in small pieces, at most 400 ms late. */
  smooth?: boolean;
  /** For so many seconds the server may be out of reach; 60 unless given. */
  giveUpAfter?: number;
  onStatus?: (status: Status) => void;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch;
}

export interface Message {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: string | Record<string, unknown>[] | null;
  [field: string]: unknown;
}

/** What the model is asked: `prompt` or `messages`, and the fields of the server's API. */
export interface StreamOptions extends ReadOptions {
  prompt?: string;
  messages?: Message[];
  system?: string;
  provider?: string;
  model?: string;
  max_tokens?: number;
  temperature?: number;
  tools?: Record<string, unknown>[];
  tool_choice?: string | Record<string, unknown>;
  /** For so many seconds without a reader the server goes on generating; its own setting unless given. */
  grace?: number;
  /** 8 to 128 visible ASCII characters; random unless given. */
  idempotencyKey?: string;
}

/** An answer that is being read, also while no loop takes its events. Every loop over it begins at its first event. */
export interface Answer extends AsyncIterable<StreamEvent> {
  /** The stream's id, null until it has begun. It is a secret: it suffices to read and to stop the stream. */
  readonly id: string | null;
  /** The number of the last event that was given to a loop, null before; `resume`'s `after`. */
  readonly position: number | null;
  /** The whole text; rejects with what would end an iteration. */
  readonly text: Promise<string>;
  /**
   * Stop the generation; resolves with the ending: a `done`, or the error that the iteration throws (`cancelled`).
   * Null: the answer was left before, and its ending is not known.
   */
  stop(): Promise<DoneEvent | StreamError | null>;
  /** Leaving the loop leaves the answer, as aborting does. */
  [Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, undefined>;
}

export interface ResumeOptions extends ReadOptions {
  /** The number of the last event that is known already. */
  after?: number | null;
  /** What the `start` event said, which comes before `after`: how soon a silent connection is known to be dead. */
  keepaliveSeconds?: number;
}

/** Start a generation and read it. `url` is the server's root, or any address of its API. */
export function stream(url: string | URL, options: StreamOptions): Answer;

/** Read a stream by its id: from its start, or what follows the event number `after`. */
export function resume(url: string | URL, id: string, options?: ResumeOptions): Answer;
