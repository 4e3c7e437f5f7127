/** How long a server that fails is asked again, and what is said of one that does not answer. Knows nothing of the page. */

import { StreamError } from "./client.js";

const GIVE_UP_MS = 30_000;

/**
 * `fetch` that gives up, with a `StreamError`, when every request has failed for 30 s.
 *
 * A request that is only waiting is not given up: a browser opens six connections to a host, and the seventh request
 * waits until another tab lets one go.
 */
export function patient(fetch, now = () => performance.now()) {
  let failingSince = null;
  const failed = (error) => {
    failingSince ??= now();
    if (now() - failingSince >= GIVE_UP_MS) throw error;
  };
  return async (url, options) => {
    try {
      const response = await fetch(url, options);
      if (response.status < 500) failingSince = null;
      else failed(new StreamError("unreachable", `The server answered ${response.status} for 30 s.`, { retryable: true }));
      return response;
    } catch (error) {
      // An attempt that the client library ended itself says nothing about the server.
      if (!(error instanceof StreamError) && !options?.signal?.aborted) failed(unreachable());
      throw error;
    }
  };
}

const unreachable = () =>
  new StreamError("unreachable", "The server could not be reached for 30 s. Is it running, and are you online?", {
    retryable: true,
  });
