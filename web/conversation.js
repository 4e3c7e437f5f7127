/** Conversations as they are kept: plain objects, which every browser's storage takes. Knows nothing of the page. */

const TITLE_CHARS = 80;

/** A conversation that has not begun. Its id is in the page's address; it says nothing about what was asked. */
export const newConversation = () => ({ id: randomId(), title: "", created: Date.now(), updated: Date.now(), turns: [] });

/**
 * A question that waits for its answer.
 *
 * `state` is `running`, `done`, `stopped` or `failed`. `stream_id` lets a reloaded page read on; `figures` has `ttft_ms`
 * and `elapsed_ms`, from the click, and `tokens_per_second`; `failure` is the event `error`, or null.
 */
export const newTurn = (question) => ({
  id: randomId(),
  question,
  answer: "",
  reasoning: "",
  calls: [],
  state: "running",
  stream_id: null,
  request_id: null,
  provider: null,
  model: null,
  finish_reason: null,
  usage: null,
  failure: null,
  figures: { ttft_ms: null, elapsed_ms: null, tokens_per_second: null },
});

/** What the model is told of `turns` before the question that follows them: every turn that has an answer. */
export const messagesOf = (turns) =>
  turns
    .filter(({ answer }) => answer)
    .flatMap(({ question, answer }) => [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ]);

/** A conversation's name: the beginning of its first message. */
export function titleFor(question) {
  const line = question.trim().replace(/\s+/g, " ");
  const characters = [...line];
  return characters.length > TITLE_CHARS ? `${characters.slice(0, TITLE_CHARS - 1).join("").trimEnd()}…` : line;
}

/** Whether every word of `query` occurs in the conversation. */
export function matches({ title, turns }, query) {
  const text = [title, ...turns.flatMap(({ question, answer }) => [question, answer])].join("\n").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** The conversation as a Markdown document. */
export function toMarkdown({ title, turns }) {
  const parts = turns.map(({ question, answer, reasoning, calls, state }) =>
    [
      `## Question\n\n${question}`,
      `## Answer\n\n${answer}`,
      reasoning && `<details><summary>Reasoning</summary>\n\n${reasoning}\n\n</details>`,
      ...calls.map(({ name, arguments: given }) => `Tool call \`${name}\`:\n\n\`\`\`json\n${given}\n\`\`\``),
      state === "done" ? "" : "*This answer is not complete.*",
    ]
      .filter(Boolean)
      .join("\n\n"),
  );
  return [`# ${title}`, ...parts].join("\n\n").concat("\n");
}

/** The conversation as JSON: its turns, and its messages as every API of chat completions takes them. A stream's id is a secret. */
export function toJson(conversation) {
  const { title, created, updated } = conversation;
  const turns = conversation.turns.map(({ id: _, stream_id: __, ...turn }) => turn);
  const times = { created: new Date(created).toISOString(), updated: new Date(updated).toISOString() };
  return `${JSON.stringify({ title, ...times, turns, messages: messagesOf(turns) }, null, 2)}\n`;
}

/** A name for the exported file. */
export const fileName = ({ title }, extension) =>
  `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60).toLowerCase() || "conversation"}.${extension}`;

/** Not randomUUID, which browsers have over https alone. */
const randomId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
