// OpenAI's SDK for Node: chat completions and Responses.

import OpenAI from "openai";
import { QUESTION, SCHEMA, TIMEOUT } from "./task.js";

const FUNCTION = { name: "get_time", parameters: SCHEMA, strict: true };

const clientOf = (task) =>
  new OpenAI({
    baseURL: `${task.url}/v1`,
    apiKey: task.key,
    maxRetries: task.retries,
    timeout: 1000 * (task.timeout ?? TIMEOUT),
  });

export async function chat(task, seen) {
  const client = clientOf(task);
  const tools = task.tools ? [{ type: "function", function: FUNCTION }] : undefined;
  const messages = [{ role: "user", content: QUESTION }];
  for (;;) {
    const completion = await complete(client, task, seen, { model: task.model, messages, tools });
    const { message } = completion.choices[0];
    seen.reasoning += message.reasoning_content ?? "";
    seen.usage = [completion.usage.prompt_tokens, completion.usage.completion_tokens];
    if (!message.tool_calls?.length) return;
    messages.push(message);
    for (const call of message.tool_calls) {
      const content = seen.runTool(JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
}

async function complete(client, task, seen, asked) {
  if (!task.streamed) {
    const completion = await client.chat.completions.create(asked);
    seen.hear(completion.choices[0].message.content, task);
    return completion;
  }
  const stream = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
  let reasoning = "";
  for await (const chunk of stream) {
    const delta = chunk.choices[0]?.delta;
    reasoning += delta?.reasoning_content ?? "";
    seen.hear(delta?.content, task);
  }
  const completion = await stream.finalChatCompletion();
  completion.choices[0].message.reasoning_content = reasoning;
  return completion;
}

export async function responses(task, seen) {
  const client = clientOf(task);
  const tools = task.tools ? [{ type: "function", ...FUNCTION }] : undefined;
  const input = [{ role: "user", content: QUESTION }];
  for (;;) {
    const response = await respond(client, task, seen, { model: task.model, input, tools });
    seen.usage = [response.usage.input_tokens, response.usage.output_tokens];
    for (const item of response.output) {
      if (item.type === "reasoning") seen.reasoning += item.summary.map((part) => part.text).join("");
    }
    const calls = response.output.filter((item) => item.type === "function_call");
    if (!calls.length) return;
    input.push(...response.output);
    for (const call of calls) {
      const output = seen.runTool(JSON.parse(call.arguments));
      input.push({ type: "function_call_output", call_id: call.call_id, output });
    }
  }
}

async function respond(client, task, seen, asked) {
  if (!task.streamed) {
    const response = await client.responses.create(asked);
    seen.hear(response.output_text, task);
    return response;
  }
  const stream = client.responses.stream(asked);
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") seen.hear(event.delta, task);
  }
  return await stream.finalResponse();
}
