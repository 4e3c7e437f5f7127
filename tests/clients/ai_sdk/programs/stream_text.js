// One call of streamText's with @ai-sdk/openai-compatible, described by the first argument; tells what came of it.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { isStepCount, jsonSchema, streamText, tool } from "ai";

const { baseURL, model, prompt, withTools, stopAfter } = JSON.parse(process.argv[2]);
const statuses = [];
const counting = async (url, init) => {
  const response = await fetch(url, init);
  statuses.push(response.status);
  return response;
};
const provider = createOpenAICompatible({ name: "streamserver", baseURL, includeUsage: true, fetch: counting });
const inputSchema = jsonSchema({ type: "object", properties: { city: { type: "string" } } });
const weather = tool({ inputSchema, execute: async ({ city }) => ({ city, degrees: 4 }) });
const abort = new AbortController();

const seen = { text: "", reasoning: "", calls: [], finishReason: null, usage: null, error: null, statuses };
const result = streamText({
  model: provider(model),
  prompt,
  tools: withTools ? { weather } : undefined,
  stopWhen: isStepCount(2),
  abortSignal: abort.signal,
  onError: () => undefined,
});
for await (const part of result.fullStream) {
  if (part.type === "text-delta") seen.text += part.text;
  if (part.type === "reasoning-delta") seen.reasoning += part.text;
  if (part.type === "tool-call") seen.calls.push(part.input);
  if (part.type === "finish") {
    seen.finishReason = part.finishReason;
    seen.usage = part.totalUsage;
  }
  if (part.type === "error") seen.error = { message: String(part.error.message ?? part.error), status: part.error.statusCode ?? null };
  if (part.type === "abort") seen.finishReason = "abort";
  if (stopAfter !== undefined && seen.text.length >= stopAfter) abort.abort();
}
console.log(JSON.stringify(seen));
