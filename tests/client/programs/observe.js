/** Runs one task with the client and tells what a caller sees; the same in Node, Deno, Bun and in a page. */

const withoutSignal = (url, { signal, ...request }) => fetch(url, request);

export async function observe({ stream, resume }, task) {
  const { url, prompt, options = {}, at = 0, keepalive, ignores_abort } = task;
  let { action = "read" } = task;
  const seen = { text: "", types: [], positions: [], statuses: [], ending: null, stopped: null };
  const settings = { ...options, onStatus: (status) => seen.statuses.push(status) };
  if (ignores_abort) settings.fetch = withoutSignal;
  let stopping;
  let answer = stream(url, { ...settings, prompt });
  for (let acted = false; seen.ending === null; ) {
    try {
      for await (const event of answer) {
        seen.types.push(event.type);
        seen.positions.push(answer.position);
        if (event.type === "text") seen.text += event.text;
        if (acted || seen.types.length <= at) continue;
        if (action !== "read") acted = true;
        if (action === "stop" || action === "stop_again") stopping = answer.stop();
        if (action === "stop_again") setTimeout(() => answer.stop(), 500);
        if (action === "tell") fetch(`${url}/told`, { mode: "no-cors" }).catch(() => {}); // closed without an answer
        if (action === "reload") break;
      }
      if (acted && action === "reload" && seen.types.at(-1) !== "done") {
        const { grace, ...rest } = settings;
        answer = resume(url, answer.id, { ...rest, after: answer.position, keepaliveSeconds: keepalive });
        action = "reloaded";
      } else seen.ending = "end";
    } catch (error) {
      seen.ending = error.code ?? String(error);
    }
  }
  const ending = await stopping;
  seen.stopped = ending?.code ?? ending?.type ?? null;
  seen.id = answer.id;
  return seen;
}
