/** The page: conversations, one of which is shown, and the message that goes out next. */

import { fetchProviders, hasKey, useKey } from "./api.js";
import { Announcer } from "./announcer.js";
import { Chat } from "./chat.js";
import { Chooser } from "./chooser.js";
import { StreamError } from "./client.js";
import { Composer } from "./composer.js";
import { newConversation } from "./conversation.js";
import { requestFields } from "./options.js";
import { mountHood } from "./hood/hood.js";
import { mountLab } from "./lab/lab.js";
import { openDialog, togglePanel } from "./panels.js";
import { clearRefusals, setOptions, showBeside, showRefusal } from "./refusals.js";
import { idInAddress, setAddress } from "./routes.js";
import { Follower, fitToKeyboard } from "./scroll.js";
import { Sidebar } from "./sidebar.js";
import { mountSnippets } from "./snippets/snippets.js";
import { Store } from "./store.js";
import { Tabs } from "./tabs.js";
import { Waiting } from "./waiting.js";

const find = (id) => document.getElementById(id);
const chooser = new Chooser();
const follower = new Follower(find("scroller"), find("to-latest"));
const announcer = new Announcer(find("status"), find("spoken"));
const store = new Store();
const sidebar = new Sidebar(store, { removed });
const composer = new Composer({ send, stop: () => current.stop() });
const tabs = new Tabs(() => running.size > 0);
const waiting = new Waiting(find("waiting"), tabs);

/** The conversations in which an answer is being read, shown or not. */
const running = new Set();
let current = newChat();
/** The conversation that was asked for last, while it is fetched. */
let opening = null;

function newChat(conversation = newConversation()) {
  return new Chat(conversation, {
    change: (chat) => chat === current && follower.grew(),
    voice: (chat) => voiceOf(() => chat === current),
    running: runningChanged,
    save: (chat) => store.put(chat.conversation).catch(() => sidebar.warnOfFullStorage()),
    edit: (turn) => composer.edit(turn, current.countAfter(turn)),
    retry: (turn) => attempt(() => current.retry(turn)),
    options: () => ({ ...chooser.fields, ...requestFields() }),
    waiting: (exchange, begun) => waiting.watch(exchange, begun),
  });
}

/** What is read out is the conversation that is shown. */
function voiceOf(isShown) {
  const when = (method) => (text) => isShown() && announcer[method](text);
  return { say: when("say"), begin: when("begin"), hear: when("hear"), end: when("end") };
}

async function send(question, edited) {
  clearRefusals();
  if (!question.trim()) return showBeside("prompt", "Write a question first.");
  const ask = async (chat) => {
    await chat.ask(question, edited, { dropLater: edited !== null });
    composer.accepted(question);
  };
  await attempt(() => ask(current), () => composer.restore(question));
}

/** Make `request`, which is pending until the server accepts it. What the server says against it is shown where it belongs. */
async function attempt(request, undo = () => {}) {
  const chat = current;
  clearRefusals();
  announcer.say("Sending.");
  try {
    await request();
    if (chat === current) arrived();
  } catch (error) {
    undo();
    if (error.code === "cancelled" || error.name === "AbortError") announcer.say("Stopped.");
    else refused(error, () => attempt(request, undo));
  }
}

/** A question is on the page. */
function arrived() {
  setAddress(current.conversation.id, { replace: true });
  showHead();
  follower.follow();
}

function showHead() {
  const title = current.conversation.title || "New chat";
  find("title").textContent = title;
  document.title = current.isEmpty ? "streamserver" : `${title} – streamserver`;
  find("welcome").hidden = !current.isEmpty;
}

async function open(id) {
  sidebar.close();
  if (id === current.conversation.id) return;
  const kept = [...running].find(({ conversation }) => conversation.id === id);
  opening = id;
  const conversation = id && !kept ? await store.get(id) : undefined;
  if (opening !== id) return; // another was asked for, or the same one is open by now
  opening = null;
  if (id && !kept && !conversation) setAddress(null, { replace: true });
  show(kept ?? newChat(conversation));
  await current.resume();
}

function show(chat) {
  composer.cancelEditing();
  clearRefusals();
  current = chat;
  find("turns").replaceChildren(chat.element);
  showHead();
  composer.running = chat.isRunning;
  if (chat.isEmpty) follower.rest();
  else follower.follow();
  sidebar.mark(chat.conversation.id);
}

function startAfresh() {
  setAddress(null);
  show(newChat());
  composer.focus();
}

function removed(id) {
  const chat = [...running, current].find(({ conversation }) => conversation.id === id);
  chat?.discard();
  if (chat === current) startAfresh();
}

function runningChanged(chat) {
  if (chat.isRunning) running.add(chat);
  else running.delete(chat);
  if (chat === current) composer.running = chat.isRunning;
}

async function loadProviders() {
  clearRefusals();
  try {
    chooser.offer(await fetchProviders());
    find("key-form").hidden = true;
    return true;
  } catch (refusal) {
    refused(refusal, loadProviders);
    return false;
  }
}

function refused(refusal, tryAgain) {
  if (!(refusal instanceof StreamError)) throw refusal;
  if (refusal.code === "unauthorized") askForKey();
  else showRefusal(refusal, tryAgain);
  announcer.say(refusal.message);
}

function askForKey() {
  find("key-refusal").textContent = "This key was not accepted.";
  find("key-refusal").hidden = !hasKey();
  find("key-form").hidden = false;
  find("key").focus();
}

find("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  useKey(find("key").value);
  find("key").value = "";
  if (await loadProviders()) find("prompt").focus();
});
find("new-chat").addEventListener("click", startAfresh);
find("options-toggle").addEventListener("click", () => setOptions(find("options").hidden));
find("ideas").addEventListener("click", ({ target }) => {
  if (target.localName !== "button") return;
  send(target.textContent, null);
  composer.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
  if (current.isRunning) current.stop();
  else composer.cancelEditing();
});
for (const type of ["popstate", "hashchange"]) addEventListener(type, () => open(idInAddress()));
addEventListener("pagehide", () => {
  for (const chat of running) chat.keep();
});

fitToKeyboard();
togglePanel(find("hood-toggle"), find("hood"));
mountHood(find("hood"));
mountLab(find("lab"), find("lab-body"));
mountSnippets(find("snippets"), find("snippets-body"), () => ({ prompt: find("prompt").value, ...chooser.fields, ...requestFields() }));
openDialog(find("lab-open"), find("lab"));
openDialog(find("snippets-open"), find("snippets"));
show(current);
loadProviders();
if (idInAddress()) open(idInAddress());
