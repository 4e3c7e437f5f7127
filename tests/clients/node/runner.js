// Performs the tasks on standard input, one JSON object a line, and prints what their callers saw.

import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";

const PROGRAMS = {
  "openai-chat": ["openai", "./openai_sdk.js", "chat"],
  "openai-responses": ["openai", "./openai_sdk.js", "responses"],
  "anthropic": ["@anthropic-ai/sdk", "./anthropic_sdk.js", "messages"],
  "ai-openai-compatible": ["@ai-sdk/openai-compatible", "./ai_sdk.js", "compatible"],
  "ai-openai-chat": ["@ai-sdk/openai", "./ai_sdk.js", "chat"],
  "ai-openai-responses": ["@ai-sdk/openai", "./ai_sdk.js", "responses"],
  "ai-anthropic": ["@ai-sdk/anthropic", "./ai_sdk.js", "messages"],
};

// Standard output is for results; some packages print warnings there.
console.log = console.info = console.error;

class Left extends Error {}

class Seen {
  missing = null;
  pieces = [];
  reasoning = "";
  calls = [];
  usage = null;
  error = null;

  hear(text, task, leave = () => { throw new Left(); }) {
    if (!text) return;
    this.pieces.push(text);
    if (task.leave) leave();
  }

  // Notes a call of the tool get_time, and returns its result.
  runTool(argumentsOfCall) {
    this.calls.push(argumentsOfCall);
    return `noon in ${argumentsOfCall.tz}`;
  }
}

const versionOf = async (name) =>
  JSON.parse(await readFile(new URL(`./node_modules/${name}/package.json`, import.meta.url), "utf-8")).version;

async function perform(task) {
  const [name, module, program] = PROGRAMS[task.client];
  const seen = new Seen();
  try {
    seen.version = await versionOf(name);
  } catch {
    return { missing: name };
  }
  try {
    await (await import(module))[program](task, seen);
  } catch (error) {
    if (error instanceof Left) return seen;
    const last = error.lastError ?? error;
    seen.error = { name: last.constructor.name, status: last.status ?? last.statusCode ?? null, message: String(last.message) };
  }
  return seen;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { n, task } = JSON.parse(line);
  perform(task).then((seen) => process.stdout.write(JSON.stringify({ n, seen }) + "\n"));
}
