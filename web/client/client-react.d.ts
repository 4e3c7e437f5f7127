import type { StreamError, StreamOptions } from "./client.js";

/** `useStream`'s defaults: the server's root, and anything that `stream` takes. */
export interface UseStreamOptions extends Omit<StreamOptions, "signal" | "onStatus"> {
  url: string | URL;
}

export interface StreamState {
  /**
   * Start a generation; a prompt alone may be a string. While the same request is running it does nothing, so that a
   * second click, or StrictMode's second effect, costs no second generation. Another request stops the one before.
   */
  start(request: string | StreamOptions): Promise<void>;
  /** Stop the generation and keep the text; resolves when the ending is known. */
  stop(): Promise<void>;
  /** Start the last request again. */
  retry(): Promise<void> | undefined;
  status: "idle" | "connecting" | "streaming" | "reconnecting" | "done" | "stopped" | "error";
  /** The text so far. */
  text: string;
  /** Why the status is `error`, else null. */
  error: StreamError | null;
}

/** Read answers in a component. Unmounting leaves the answer; the server's grace decides what becomes of it. */
export function useStream(options: UseStreamOptions): StreamState;
