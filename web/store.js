/** Where the browser keeps conversations: IndexedDB, or this page's memory where that is forbidden. */

const DATABASE = "streamserver";
const CONVERSATIONS = "conversations";

/** Dispatches `change` when a conversation was kept or removed, in this tab or in another. */
export class Store extends EventTarget {
  #database = opened();
  #memory = new Map();
  #channel = new BroadcastChannel("streamserver-conversations");

  constructor() {
    super();
    this.#channel.onmessage = () => this.dispatchEvent(new Event("change"));
  }

  /** Whether conversations outlive this page. */
  async isLasting() {
    return (await this.#database) !== null;
  }

  /** All conversations, the newest first. */
  async list() {
    const database = await this.#database;
    const all = database ? await settled(objects(database).getAll()) : [...this.#memory.values()];
    return all.sort((one, other) => other.updated - one.updated);
  }

  /** The conversation with this id, or undefined. */
  async get(id) {
    const database = await this.#database;
    return database ? settled(objects(database).get(id)) : this.#memory.get(id);
  }

  async put(conversation) {
    const database = await this.#database;
    const copy = structuredClone(conversation);
    if (database) await settled(objects(database, "readwrite").put(copy));
    else this.#memory.set(copy.id, copy);
    this.#changed();
  }

  async remove(id) {
    const database = await this.#database;
    if (database) await settled(objects(database, "readwrite").delete(id));
    else this.#memory.delete(id);
    this.#changed();
  }

  #changed() {
    this.#channel.postMessage(null);
    this.dispatchEvent(new Event("change"));
  }
}

const objects = (database, mode = "readonly") => database.transaction(CONVERSATIONS, mode).objectStore(CONVERSATIONS);

async function opened() {
  try {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
    return await settled(request);
  } catch {
    return null;
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
