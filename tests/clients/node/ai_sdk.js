// The AI SDK: streamText and generateText with three of its providers.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import * as ai from "ai";
import { QUESTION, SCHEMA } from "./task.js";

const options = (task) => ({ baseURL: `${task.url}/v1`, apiKey: task.key });

export const compatible = (task, seen) =>
  ask(createOpenAICompatible({ name: "streamserver", includeUsage: true, ...options(task) })(task.model), task, seen);
export const chat = (task, seen) => ask(createOpenAI(options(task)).chat(task.model), task, seen);
export const responses = (task, seen) => ask(createOpenAI(options(task)).responses(task.model), task, seen);
export const messages = (task, seen) => ask(createAnthropic(options(task))(task.model), task, seen);

// The SDK itself runs the tools, and asks again with their results.
async function ask(model, task, seen) {
  const leaving = new AbortController();
  const asked = {
    model,
    prompt: QUESTION,
    maxOutputTokens: 100,
    maxRetries: task.retries,
    tools: task.tools ? { get_time: ai.tool({ inputSchema: ai.jsonSchema(SCHEMA), execute: (input) => seen.runTool(input) }) } : undefined,
    stopWhen: (ai.isStepCount ?? ai.stepCountIs)(2),
    abortSignal: task.timeout === null ? leaving.signal : AbortSignal.timeout(1000 * task.timeout),
  };
  if (!task.streamed) {
    const result = await ai.generateText(asked);
    for (const step of result.steps) note(step, seen, task);
    return;
  }
  const result = ai.streamText({ ...asked, onError: () => undefined });
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") seen.hear(part.text, task, () => leaving.abort());
    if (part.type === "reasoning-delta") seen.reasoning += part.text;
    if (part.type === "finish-step") noteUsage(part.usage, seen);
    if (part.type === "error") throw part.error;
    if (part.type === "abort" && !leaving.signal.aborted) throw new DOMException("timed out", "TimeoutError");
  }
}

function note(step, seen, task) {
  seen.hear(step.text, task);
  seen.reasoning += step.reasoningText ?? "";
  noteUsage(step.usage, seen);
}

const noteUsage = (usage, seen) => { seen.usage = [usage.inputTokens, usage.outputTokens]; };
