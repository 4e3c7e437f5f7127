// Anthropic's SDK for Node.

import Anthropic from "@anthropic-ai/sdk";
import { QUESTION, SCHEMA, TIMEOUT } from "./task.js";

export async function messages(task, seen) {
  const client = new Anthropic({
    baseURL: task.url,
    apiKey: task.key,
    maxRetries: task.retries,
    timeout: 1000 * (task.timeout ?? TIMEOUT),
  });
  const tools = task.tools ? [{ name: "get_time", input_schema: SCHEMA }] : undefined;
  const history = [{ role: "user", content: QUESTION }];
  for (;;) {
    const message = await ask(client, task, seen, { model: task.model, max_tokens: 100, messages: history, tools });
    seen.usage = [message.usage.input_tokens, message.usage.output_tokens];
    for (const block of message.content) {
      if (block.type === "thinking") seen.reasoning += block.thinking;
      if (block.type === "text" && !task.streamed) seen.hear(block.text, task);
    }
    const calls = message.content.filter((block) => block.type === "tool_use");
    if (!calls.length) return;
    history.push({ role: "assistant", content: message.content });
    history.push({
      role: "user",
      content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: seen.runTool(call.input) })),
    });
  }
}

async function ask(client, task, seen, asked) {
  if (!task.streamed) return await client.messages.create(asked);
  const stream = client.messages.stream(asked);
  for await (const event of stream) {
    if (event.type === "content_block_delta") seen.hear(event.delta.text, task);
  }
  return await stream.finalMessage();
}
