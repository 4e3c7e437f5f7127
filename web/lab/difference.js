/** The same prompt twice, side by side: waiting for the whole answer, and streaming. */

import { addressOf, askAside, keyHeaders } from "../api.js";
import { Facts, make } from "../elements.js";
import { duration } from "../messages.js";
import { Screen } from "./card.js";

const PROMPT =
  "A reader who waits for the whole answer looks at an empty page for as long as the model needs to write all of it. " +
  "A reader of a stream has the first words at once, reads while the model writes, and can stop it as soon as the answer " +
  "goes astray. The answer is the same, and so is the price: only the waiting is different. This text is some seventy tokens " +
  "long, and the longer the answer of your model is, the longer is the wait that a stream saves.";

export class Difference {
  element;
  #prompt = make("textarea", { id: "lab-prompt", rows: 5, value: PROMPT, dir: "auto" });
  #button = make("button", { type: "button", className: "primary", textContent: "Ask twice" });
  #sides = [new Side("Waiting for the whole answer"), new Side("Streaming")];
  #provider;

  constructor(provider) {
    this.#provider = provider;
    this.element = make(
      "section",
      { className: "lab-card" },
      make("h3", { textContent: "See the difference" }),
      make("p", { textContent: "One prompt goes out twice at the same moment: once for the whole answer, once as a stream." }),
      make("label", { htmlFor: "lab-prompt", textContent: "Prompt of both" }),
      this.#prompt,
      make("div", { className: "lab-head" }, this.#button),
      make("div", { className: "lab-sides" }, ...this.#sides.map(({ element }) => element)),
    );
    this.#button.addEventListener("click", () => this.#run());
  }

  async #run() {
    const leaving = new AbortController();
    this.element.closest("dialog")?.addEventListener("close", () => leaving.abort(), { once: true });
    this.#button.disabled = true;
    const [whole, stream] = this.#sides;
    const prompt = this.#prompt.value;
    await Promise.all([
      whole.run((side) => this.#whole(prompt, side, leaving.signal)),
      stream.run((side) => this.#stream(prompt, side, leaving.signal)),
    ]);
    this.#button.disabled = false;
  }

  async #whole(prompt, side, signal) {
    const body = JSON.stringify({ model: this.#provider, messages: [{ role: "user", content: prompt }] });
    const headers = { "Content-Type": "application/json", ...keyHeaders() };
    const response = await fetch(addressOf("v1/chat/completions"), { method: "POST", headers, body, signal });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error?.message ?? `The server answered ${response.status}.`);
    side.append(answer.choices[0].message.content);
  }

  async #stream(prompt, side, signal) {
    for await (const event of askAside({ prompt, provider: this.#provider, grace: 0 }, { signal })) {
      if (event.type === "text") side.append(event.text);
    }
  }
}

/** One of the two answers, with its clock. */
class Side {
  element;
  #screen;
  #facts = new Facts();
  #startedAt;
  #begun;

  constructor(title) {
    this.#screen = new Screen(title);
    this.element = make("div", { className: "lab-side" }, this.#facts.element, this.#screen.element);
  }

  /** Run `read(side)`, and show how long it takes. */
  async run(read) {
    this.#screen.clear();
    this.#facts.clear();
    this.#startedAt = performance.now();
    this.#begun = false;
    this.#tick();
    const clock = setInterval(() => this.#tick(), 50);
    try {
      await read(this);
      this.#screen.say("Complete", "good");
    } catch (error) {
      this.#screen.say(error.message, "bad");
    } finally {
      clearInterval(clock);
      this.#tick();
    }
  }

  append(text) {
    this.#screen.append(text);
    if (this.#begun) return;
    this.#tick();
    this.#begun = true;
  }

  #tick() {
    const elapsed = duration(performance.now() - this.#startedAt);
    if (!this.#begun) this.#facts.set("First word after", elapsed);
    this.#facts.set("Whole answer after", elapsed);
  }
}
