/** The other tabs of this browser that read answers. A browser opens six connections to a host, for all tabs together. */

export const MOST_CONNECTIONS = 6;
const ANSWER_MS = 250;

/** Counts the tabs of this origin that are reading. `isReading()` says whether this one is. */
export class Tabs {
  #channel = new BroadcastChannel("streamserver-tabs");
  #heard = new Set();
  #name = crypto.getRandomValues(new Uint32Array(2)).join("-");

  constructor(isReading) {
    this.#channel.onmessage = ({ data: { question, reader } }) => {
      if (reader) this.#heard.add(reader);
      else if (question && isReading()) this.#channel.postMessage({ reader: this.#name });
    };
  }

  /** Ask the other tabs; the number of those that are reading. */
  async countReading() {
    this.#heard.clear();
    this.#channel.postMessage({ question: true });
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    return this.#heard.size;
  }
}
