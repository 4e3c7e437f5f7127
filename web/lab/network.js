/** A network that breaks when it is told to: a `fetch` for the client library. */

const AWAY_MS = 700;

/**
 * `fetch` with a first response that breaks off after `blocks` blocks of Server-Sent Events; then nothing is reached for a
 * while. `on` has `request(number, lastEventId)`, and `cut()`.
 */
export function cuttingFetch(blocks, on) {
  let requests = 0;
  let awayUntil = 0;
  return async (url, options = {}) => {
    if (performance.now() < awayUntil) throw new TypeError("the network is away");
    const number = ++requests;
    on.request(number, new Headers(options.headers).get("Last-Event-ID"));
    if (number > 1) return fetch(url, options);
    const connection = new AbortController();
    options.signal?.addEventListener("abort", () => connection.abort());
    const response = await fetch(url, { ...options, signal: connection.signal });
    if (response.status !== 200) return response;
    const cut = () => {
      awayUntil = performance.now() + AWAY_MS;
      connection.abort();
      on.cut();
    };
    return new Response(response.body.pipeThrough(cutAfter(blocks, cut)), { status: 200, headers: response.headers });
  };
}

/** Pass on this many blocks, then call `cut` and break off. What came behind them is lost, as on a real network. */
function cutAfter(blocks, cut) {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let passed = 0;
  return new TransformStream({
    transform(chunk, controller) {
      const parts = decoder.decode(chunk, { stream: true }).split("\n\n");
      const left = blocks - passed;
      passed += parts.length - 1;
      if (passed < blocks) return controller.enqueue(chunk);
      controller.enqueue(encoder.encode(`${parts.slice(0, left).join("\n\n")}\n\n`));
      controller.terminate();
      cut();
    },
  });
}
