/** What can be broken, and what is seen then. Each asks the echo provider, which costs nothing. */

import { addressOf, askAside, keyHeaders } from "../api.js";
import { StreamError } from "../client.js";
import { adviceFor, duration, sentence, titleOf } from "../messages.js";
import { cuttingFetch } from "./network.js";

const CUT_AFTER = 20;
const FAULT_AFTER = 12;
const GRACE_SECONDS = 30;
const TOO_MANY_TOKENS = 999_999_999;
/** How long to wait before each look at a stream that should have ended. */
const LOOKS_MS = [10, 25, 50, 100, 200, 400, 800, 1600];

/** The experiments with the provider named `provider`. */
export const experiments = (provider) => [
  {
    title: "Cut the connection",
    text: "The connection breaks after 20 events, and the network is away for a moment. The client reads on after the last event that it has.",
    run: (lab) => cut(provider, lab),
  },
  {
    title: "Make the provider fail",
    text: `The provider breaks off after ${FAULT_AFTER} tokens. What came stays, and one error event says what can be done.`,
    run: (lab) => fault(provider, `fail-after-${FAULT_AFTER}`, lab),
  },
  {
    title: "Stall the provider",
    text: `The provider says nothing more after ${FAULT_AFTER} tokens. Pings tell a quiet model from a dead connection, until the server's idle timeout ends the answer.`,
    run: (lab) => fault(provider, `stall-after-${FAULT_AFTER}`, lab),
  },
  {
    title: "Exceed a limit",
    text: "The request asks for more tokens than the server allows. It is refused before any provider is asked.",
    run: (lab) => exceed(provider, lab),
  },
  {
    title: "Close the tab",
    text: "The browser closes the connection in mid-answer, as it does when a tab is closed. Without a reader, the server closes the provider's connection.",
    run: (lab) => closeTab(provider, lab),
  },
];

const words = (count) => Array.from({ length: count }, (_, index) => `${index + 1}`).join(" ");

async function cut(provider, { screen, facts, signal }) {
  const prompt = words(80);
  let connections = 0;
  const onStatus = (status) => status === "reconnecting" && screen.say("Connection lost, reconnecting…");
  const network = cuttingFetch(CUT_AFTER, {
    request(number, lastEventId) {
      connections = number;
      facts.set("Connections", number);
      if (lastEventId) facts.set("Resumed after event", lastEventId.split(":")[1]);
    },
    cut: () => facts.set("Cut after event", CUT_AFTER - 1),
  });
  let tokens = 0;
  const streams = new Set();
  const answer = askAside({ prompt, provider, grace: GRACE_SECONDS }, { fetch: network, signal, onStatus });
  for await (const event of answer) {
    if (event.type === "start") streams.add(event.stream_id);
    if (event.type === "text") tokens += 1;
    show(event, screen, facts);
  }
  const paid = Number(facts.value("Tokens paid"));
  facts.set("Tokens read", `${tokens} of 80`);
  facts.set("Generations", `${streams.size}, the same in all ${connections} connections`);
  const exact = screen.text === prompt && tokens === 80 && paid === 80 && streams.size === 1;
  screen.say(exact ? "Complete. No token was lost, and none was paid twice." : "The answer differs from what was asked.", exact ? "good" : "bad");
}

async function fault(provider, model, { screen, facts, signal }) {
  let heardAt = performance.now();
  const silence = setInterval(() => facts.set("Silent for", duration(performance.now() - heardAt)), 250);
  const onStatus = (status) => status === "quiet" && screen.say("The model is quiet…");
  try {
    for await (const event of askAside({ prompt: words(40), provider, model, grace: 0 }, { signal, onStatus })) {
      heardAt = performance.now();
      if (event.type === "start") facts.set("A ping at least every", `${event.keepalive_seconds} s`);
      show(event, screen, facts);
    }
    screen.say("The answer came whole: this provider obeys no fault.", "bad");
  } catch (error) {
    showFailure(error, screen, facts);
  } finally {
    clearInterval(silence);
  }
}

async function exceed(provider, { screen, facts, signal }) {
  try {
    for await (const event of askAside({ prompt: words(5), provider, max_tokens: TOO_MANY_TOKENS }, { signal })) show(event, screen, facts);
    screen.say("The server allowed it.", "bad");
  } catch (error) {
    showFailure(error, screen, facts);
    facts.set("Tokens paid", 0);
  }
}

async function closeTab(provider, { screen, facts, signal }) {
  const tab = new AbortController();
  signal.addEventListener("abort", () => tab.abort());
  const body = { prompt: words(400), provider, model: "stall-after-400", grace: 0 };
  const answer = askAside(body, { signal: tab.signal });
  let tokens = 0;
  for await (const event of answer) {
    show(event, screen, facts);
    if (event.type === "text" && ++tokens === FAULT_AFTER) break;
  }
  // Leaving the loop has closed the connection.
  const closedAt = performance.now();
  facts.set("Tokens on the screen", tokens);
  const { code, usage } = await endingOf(answer, signal);
  const took = performance.now() - closedAt;
  facts.set("Ending", code);
  facts.set("Tokens that the provider wrote", usage?.completion_tokens ?? "unknown");
  facts.set("Provider's connection closed", `at most ${duration(took)} after the tab`);
  screen.say("The tab is closed. The answer ended with it, and the rest of it is never paid.", "good");
}

/** The ending of a stream without readers: looked for again and again, as every look is a reader while it lasts. */
async function endingOf({ id, position }, signal) {
  for (const wait of LOOKS_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    const look = new AbortController();
    const timer = setTimeout(() => look.abort(), wait + 250);
    try {
      const headers = { ...keyHeaders(), "Last-Event-ID": `${id}:${position}` };
      const url = addressOf(`api/chat/streams/${id}`);
      const text = await (await fetch(url, { headers, signal: AbortSignal.any([look.signal, signal]) })).text();
      const ending = text.split("\n\n").find((block) => /^event: error$/m.test(block));
      if (ending) return JSON.parse(/^data: (.*)$/m.exec(ending)[1]);
    } catch (error) {
      if (signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
    }
  }
  throw new Error("The server still generates: does something else read this stream?");
}

function show(event, screen, facts) {
  if (event.type === "text") screen.append(event.text);
  if (event.type === "start") facts.set("Request", event.request_id);
  if (event.type !== "done") return;
  facts.set("Ended by", event.finish_reason);
  facts.set("Tokens paid", event.usage.completion_tokens);
}

function showFailure(error, screen, facts) {
  if (!(error instanceof StreamError)) throw error;
  const kept = screen.text ? " What had come is kept." : "";
  // A refusal says itself what is wrong; of what broke off in the middle, the title does.
  const title = error.status ? "" : `${titleOf(error)}. `;
  const advice = error.status ? "" : ` ${adviceFor(error)}`;
  screen.say(`${title}${sentence(error.message)}${advice}${kept}`, "bad");
  if (error.status) facts.set("Status", error.status);
  facts.set("Code", error.code);
  if (error.field) facts.set("Field", error.field);
  facts.set("Worth a retry", error.retryable ? "yes" : "no");
  if (error.requestId) facts.set("Request", error.requestId);
  if (error.usage) facts.set("Tokens paid", `${error.usage.completion_tokens}${error.usage.estimated ? " (estimated)" : ""}`);
}
