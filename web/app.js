/** The page: a question goes out, an answer is read, and one can be stopped. */

import { ask, fetchProviders, hasKey, useKey } from "./api.js";
import { Chooser } from "./chooser.js";
import { StreamError } from "./client.js";
import { openDialog, togglePanel } from "./panels.js";
import { clearRefusals, setOptions, showBeside, showRefusal } from "./refusals.js";
import { Follower } from "./scroll.js";
import { Reading } from "./stream.js";
import { Turn } from "./turn.js";

const APPLE = /Mac|iP(hone|ad|od)/.test(navigator.platform);

const find = (id) => document.getElementById(id);
const prompt = find("prompt");
const chooser = new Chooser();
const follower = new Follower(find("scroller"), find("to-latest"));

/** The exchanges on the page, the oldest first. */
let turns = [];
/** What is under way: null, or how to stop it and how to leave it. */
let running = null;

async function loadProviders() {
  clearRefusals();
  try {
    chooser.offer(await fetchProviders());
    find("key-form").hidden = true;
  } catch (refusal) {
    refused(refusal, loadProviders);
  }
}

async function send(question) {
  if (running) return;
  clearRefusals();
  if (!question.trim()) {
    showBeside("prompt", "Write a question first.");
    return;
  }
  const clickedAt = performance.now();
  try {
    const reading = new Reading(ask(bodyFor(question), clickedAt));
    setRunning(reading);
    say("Sending.");
    read(reading, await reading.begun(), question, clickedAt);
  } catch (error) {
    setRunning(null);
    prompt.value ||= question;
    if (error.code !== "cancelled") refused(error, () => send(prompt.value));
  }
}

function read(reading, first, question, clickedAt) {
  const turn = new Turn(question, chooser.name ?? "", clickedAt, { change: () => follower.grew(), say, end, again, edit });
  turns.push(turn);
  find("turns").append(turn.element);
  find("welcome").hidden = true;
  find("new-chat").hidden = false;
  if (prompt.value === question) prompt.value = "";
  follower.follow();
  const stop = () => {
    turn.stopping();
    reading.stop();
  };
  setRunning({ stop, abandon: () => reading.abandon() });
  reading.read(first, turn);
}

function end() {
  setRunning(null);
}

function again(turn) {
  if (running) return;
  drop(turn);
  send(turn.prompt);
}

function edit(turn) {
  drop(turn);
  prompt.value = turn.prompt;
  prompt.focus();
}

function drop(turn) {
  turns = turns.filter((each) => each !== turn);
  turn.remove();
}

function bodyFor(question) {
  const earlier = turns.filter((turn) => turn.answer).flatMap((turn) => [
    { role: "user", content: turn.prompt },
    { role: "assistant", content: turn.answer },
  ]);
  return {
    ...(earlier.length ? { messages: [...earlier, { role: "user", content: question }] } : { prompt: question }),
    provider: chooser.name ?? undefined,
    system: find("system").value || undefined,
    max_tokens: number("max_tokens"),
    temperature: number("temperature"),
  };
}

/** A field's number, or nothing; what is no number goes out as it is, to be refused by name. */
function number(id) {
  const field = find(id);
  if (field.validity.badInput) return "";
  return field.value === "" ? undefined : field.valueAsNumber;
}

function refused(refusal, tryAgain) {
  if (!(refusal instanceof StreamError)) throw refusal;
  if (refusal.code === "unauthorized") askForKey();
  else showRefusal(refusal, tryAgain);
  say(refusal.message);
}

function askForKey() {
  find("key-refusal").textContent = "This key was not accepted.";
  find("key-refusal").hidden = !hasKey();
  find("key-form").hidden = false;
  find("key").focus();
}

function setRunning(next) {
  const hadFocus = document.activeElement === find("stop");
  running = next;
  find("send").hidden = running !== null;
  find("stop").hidden = running === null;
  if (hadFocus && !running) prompt.focus();
}

function say(text) {
  find("status").textContent = text;
}

function startAfresh() {
  running?.abandon();
  setRunning(null);
  turns.forEach((turn) => turn.remove());
  turns = [];
  clearRefusals();
  find("welcome").hidden = false;
  find("new-chat").hidden = true;
  prompt.focus();
}

find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send(prompt.value);
});
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key").value);
  find("key").value = "";
  loadProviders();
});
find("stop").addEventListener("click", () => running?.stop());
find("new-chat").addEventListener("click", startAfresh);
find("options-toggle").addEventListener("click", () => setOptions(find("options").hidden));
find("ideas").addEventListener("click", ({ target }) => {
  if (target.localName !== "button") return;
  prompt.value = target.textContent;
  prompt.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Escape") running?.stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && find("composer").contains(event.target)) {
    event.preventDefault();
    find("composer").requestSubmit();
  }
});
addEventListener("pagehide", () => running?.abandon());

togglePanel(find("hood-toggle"), find("hood"));
openDialog(find("lab-open"), find("lab"));
openDialog(find("snippets-open"), find("snippets"));

find("keys").textContent = `${APPLE ? "⌘" : "Ctrl"} + Enter sends · Esc stops`;
loadProviders();
