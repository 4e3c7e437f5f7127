/** What is said while a request waits for the server's answer. */

import { MOST_CONNECTIONS } from "./tabs.js";

const PATIENCE_MS = 3000;

const UNREACHABLE = "The server cannot be reached. The page tries again until you stop it, for 30 seconds at most.";

/** Shows in `box` why the server has not answered yet. `tabs` counts the tabs that read. */
export class Waiting {
  #box;
  #tabs;

  constructor(box, tabs) {
    this.#box = box;
    this.#tabs = tabs;
  }

  /** Watch `exchange` until `begun` settles; returns what that gives. */
  async watch(exchange, begun) {
    let over = false;
    let failed = false;
    const show = (text) => !over && this.#show(text);
    const explain = (readingTabs) => !failed && show(waitingFor(readingTabs));
    const timer = setTimeout(async () => explain(await this.#tabs.countReading()), PATIENCE_MS);
    exchange.addEventListener("status", ({ detail: { status } }) => {
      if (status !== "reconnecting") return;
      failed = true;
      show(UNREACHABLE);
    });
    try {
      return await begun;
    } finally {
      over = true;
      clearTimeout(timer);
      this.#box.hidden = true;
    }
  }

  #show(text) {
    this.#box.textContent = text;
    this.#box.hidden = false;
  }
}

function waitingFor(readingTabs) {
  const limit = `a browser opens at most ${MOST_CONNECTIONS} connections to one server`;
  const then = "Your question is sent as soon as a connection is free.";
  if (readingTabs >= MOST_CONNECTIONS) {
    return `${readingTabs} other tabs are reading answers from this server, and ${limit}. Stop an answer or close a tab. ${then}`;
  }
  return `The server has not answered yet. If other tabs are reading from it: ${limit}. Stop an answer or close a tab. ${then}`;
}
