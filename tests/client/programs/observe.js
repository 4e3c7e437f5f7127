/** Runs one task with the client and tells what a caller sees; the same in Node and in a page. */

export async function observe({ stream, resume }, { url, prompt, options = {}, action = "read", at = 0, keepalive }) {
  const seen = { text: "", types: [], positions: [], statuses: [], ending: null, stopped: null };
  const settings = { ...options, onStatus: (status) => seen.statuses.push(status) };
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
