/** The current request in other people's languages. `request` is `{root, body, withKey}`. */

import { javascript, keywords, python, shell } from "./literals.js";

const KEY = "YOUR_KEY";
const CORS = "A page of another origin needs that origin in auth.cors_origins of the server's config.toml.";

/** Each has a `name`, a `hint` in plain words, and `write(request)`. */
export const LANGUAGES = [
  { name: "curl", hint: "For a POSIX shell. -N shows each token as it comes.", write: curl },
  { name: "EventSource", hint: `Save it as a page. ${CORS}`, write: eventSource },
  { name: "fetch", hint: `Save it as ask.mjs and run it with Node 20 or newer, or use it in a module of a page. ${CORS}`, write: fetched },
  { name: "React", hint: `A component. It reconnects and resumes by the server's own client. ${CORS}`, write: react },
  { name: "Angular", hint: `A standalone component. It reconnects and resumes by the server's own client. ${CORS}`, write: angular },
  { name: "Python", hint: "pip install llm-streamserver. It reconnects and resumes.", write: pythonClient },
  { name: "OpenAI SDK", hint: "pip install openai. Only base_url and model differ from your code for OpenAI.", write: openai },
  { name: "Anthropic SDK", hint: "pip install anthropic. Only base_url and model differ from your code for Anthropic.", write: anthropic },
];

const headersOf = ({ withKey }) => ({ "Content-Type": "application/json", ...(withKey && { Authorization: `Bearer ${KEY}` }) });
const options = (request) => javascript({ ...request.body, ...(request.withKey && { key: KEY }) });
const indented = (text, indent) => text.replaceAll("\n", `\n${indent}`);

function curl(request) {
  const headers = Object.entries(headersOf(request)).map(([name, value]) => `  -H ${shell(`${name}: ${value}`)} \\\n`);
  return `curl -N ${shell(`${request.root}api/chat/stream`)} \\\n${headers.join("")}  --data-raw ${shell(JSON.stringify(request.body))}\n`;
}

function eventSource(request) {
  return `<!doctype html>
<meta charset="utf-8">
<title>Answer</title>
<output style="white-space: pre-wrap"></output>
<script type="module">
  const server = ${javascript(request.root)};
  const output = document.querySelector("output");
  const started = await fetch(new URL("api/chat/streams", server), {
    method: "POST",
    headers: ${indented(javascript(headersOf(request)), "    ")},
    // It survives a cut connection for 15 seconds.
    body: JSON.stringify(${indented(javascript({ ...request.body, grace: 15 }), "    ")}),
  });
  const answer = await started.json();
  if (!started.ok) throw new Error(answer.detail);
  const source = new EventSource(new URL(answer.url, server));
  source.onmessage = (event) => output.append(event.data);
  source.addEventListener("done", () => source.close());
  source.addEventListener("error", (event) => {
    if (!event.data) return; // the connection broke: the browser resumes by itself
    source.close();
    output.append("\\n" + JSON.parse(event.data).message);
  });
</script>
`;
}

function fetched(request) {
  return `const response = await fetch(${javascript(`${request.root}api/chat/stream`)}, {
  method: "POST",
  headers: ${indented(javascript(headersOf(request)), "  ")},
  body: JSON.stringify(${indented(javascript(request.body), "  ")}),
});
if (!response.ok) throw new Error((await response.json()).detail);

const show = (text) => (globalThis.process ? process.stdout.write(text) : document.body.append(text));
const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
let rest = "";
for (let chunk; !(chunk = await reader.read()).done; ) {
  const blocks = (rest + chunk.value).split("\\n\\n");
  rest = blocks.pop();
  for (const block of blocks) {
    const fields = block.split("\\n").map((line) => line.match(/^(\\w+): ?(.*)$/s) ?? []);
    const event = fields.find(([, name]) => name === "event")?.[2] ?? "message";
    const data = fields.filter(([, name]) => name === "data").map(([, , value]) => value).join("\\n");
    if (event === "message") show(data);
    if (event === "error") throw new Error(JSON.parse(data).message);
  }
}
`;
}

function react(request) {
  return `// Get the client once, into the folder of this file:
//   curl -O ${request.root}client.js -O ${request.root}client-react.js
import { useStream } from "./client-react.js";

const request = ${options(request)};

export function Answer() {
  const { start, stop, retry, status, text, error } = useStream({ url: ${javascript(request.root)} });
  return (
    <section>
      <button onClick={() => start(request)}>Ask</button>
      <button onClick={stop}>Stop</button>
      <output data-status={status} style={{ whiteSpace: "pre-wrap" }}>{text}</output>
      {error && <p>{error.message} <button onClick={retry}>Try again</button></p>}
    </section>
  );
}
`;
}

function angular(request) {
  return `// Get the client once, into the folder of this file:
//   curl -O ${request.root}client.js
import { Component, signal } from "@angular/core";
// @ts-ignore: plain JavaScript
import { stream } from "./client.js";

const request = ${options(request)};

@Component({
  selector: "app-answer",
  template: \`
    <button (click)="ask()">Ask</button>
    <button (click)="stop()">Stop</button>
    <output style="white-space: pre-wrap">{{ text() }}</output>
    <p>{{ problem() }}</p>
  \`,
})
export class Answer {
  text = signal("");
  problem = signal("");
  stop = () => {};

  async ask() {
    this.text.set("");
    this.problem.set("");
    try {
      const answer = stream(${javascript(request.root)}, request);
      this.stop = () => answer.stop();
      for await (const event of answer) {
        if (event.type === "text") this.text.update((text) => text + event.text);
      }
    } catch (error: any) {
      this.problem.set(error.message);
    }
  }
}
`;
}

function pythonClient(request) {
  const key = request.withKey ? `, key=${python(KEY)}` : "";
  return `import asyncio

from streamserver.client import Client


async def main() -> None:
    async with Client(${python(request.root)}${key}) as client:
        answer = client.stream(
${keywords(request.body, "            ")}        )
        async with answer:
            async for event in answer:
                if event.type == "text":
                    print(event.text, end="", flush=True)


asyncio.run(main())
`;
}

function openai(request) {
  const { messages, system, model, rest } = forSdk(request.body);
  const turns = system === undefined ? messages : [{ role: "system", content: system }, ...messages];
  return `from openai import OpenAI

client = OpenAI(base_url=${python(`${request.root}v1`)}, api_key=${python(request.withKey ? KEY : "none")})
stream = client.chat.completions.create(
${keywords({ model, messages: turns, ...rest }, "    ")}    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
`;
}

function anthropic(request) {
  const { messages, system, model, rest } = forSdk(request.body);
  const { temperature, max_tokens = 1024 } = rest;
  const fields = { model, max_tokens, ...(system !== undefined && { system }), messages };
  // The SDK's newest versions have no argument for it.
  if (temperature !== undefined) fields.extra_body = { temperature };
  return `from anthropic import Anthropic

client = Anthropic(base_url=${python(request.root.replace(/\/$/, ""))}, api_key=${python(request.withKey ? KEY : "none")})
with client.messages.stream(
${keywords(fields, "    ")}) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
`;
}

/** The parts of a native body as the vendors' SDKs want them: a provider is a part of the model's name. */
function forSdk({ prompt, messages = [{ role: "user", content: prompt }], system, provider, model, ...rest }) {
  return { messages, system, model: [provider, model].filter(Boolean).join("/"), rest };
}
