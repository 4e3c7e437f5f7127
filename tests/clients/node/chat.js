// A chat of useChat's without a page: performs commands, one JSON object a line, and tells what its page would show.

import { createInterface } from "node:readline";
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } from "ai";

let chat;
let running = Promise.resolve();
const seen = { toolCalls: [], requests: [], stopped: null };

let stopUrl;

function open({ api, id, messages, headers, body, automatic }) {
  const counting = async (url, init) => {
    const response = await fetch(url, init);
    seen.requests.push([init.method, response.status, response.headers.get("x-stream-id")]);
    return response;
  };
  stopUrl = `${api}/${encodeURIComponent(id)}/stop`;
  chat = new Chat({
    id,
    messages,
    transport: new DefaultChatTransport({ api, headers, body, fetch: counting }),
    sendAutomaticallyWhen: automatic ? lastAssistantMessageIsCompleteWithToolCalls : undefined,
    onToolCall: ({ toolCall }) => void seen.toolCalls.push(toolCall.toolCallId),
  });
}

const commands = {
  open,
  send: (command) => { running = chat.sendMessage(command.message); },
  regenerate: () => { running = chat.regenerate(); },
  resume: () => { running = chat.resumeStream(); },
  stop: () => chat.stop(),
  stopOnServer: async () => { seen.stopped = (await fetch(stopUrl, { method: "POST" })).status; },
  toolOutput: (command) => { running = chat.addToolOutput(command); },
  wait: () => running,
  look: () => undefined,
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  await commands[command.do](command);
  const { status, error, messages } = chat;
  console.log(JSON.stringify({ status, error: error?.message ?? null, messages, ...seen }));
}
