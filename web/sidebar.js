/** The list of conversations: search, open, delete, export. On a narrow screen it lies behind a button. */

import { fileName, matches, toJson, toMarkdown } from "./conversation.js";
import { saveFile } from "./download.js";
import { linkTo } from "./routes.js";

const find = (id) => document.getElementById(id);

/** `on.removed(id)` is called when a conversation was deleted here. */
export class Sidebar {
  #store;
  #on;
  #current = null;
  #removed = null;

  constructor(store, on) {
    this.#store = store;
    this.#on = on;
    store.addEventListener("change", () => this.refresh());
    find("search").addEventListener("input", () => this.refresh());
    find("undo").addEventListener("click", () => this.#undo());
    find("export-markdown").addEventListener("click", () => this.#export("md", "text/markdown", toMarkdown));
    find("export-json").addEventListener("click", () => this.#export("json", "application/json", toJson));
    this.#listenToDrawer();
  }

  /** Show which conversation is open; null for one that is not kept yet. */
  mark(id) {
    this.#current = id;
    return this.refresh();
  }

  async refresh() {
    const query = find("search").value.trim();
    const all = await this.#store.list();
    const found = query ? all.filter((each) => matches(each, query)) : all;
    find("conversations").replaceChildren(...found.map((each) => this.#item(each)));
    find("no-conversations").hidden = found.length > 0;
    find("no-conversations").textContent = all.length
      ? `No conversation has “${query}”.`
      : "Your conversations are kept here, in this browser only.";
    find("exports").hidden = !all.some(({ id }) => id === this.#current);
    if (!(await this.#store.isLasting())) find("not-lasting").hidden = false;
  }

  /** Say that the newest answers are not kept. */
  warnOfFullStorage() {
    find("not-lasting").textContent = "The browser’s storage is full. Delete a conversation, or this one is gone when the page is closed.";
    find("not-lasting").hidden = false;
  }

  /** Close the drawer. */
  close() {
    this.#setOpen(false);
  }

  #item({ id, title }) {
    const item = find("conversation").content.firstElementChild.cloneNode(true);
    const link = item.querySelector("a");
    link.href = linkTo(id);
    link.textContent = link.title = title;
    link.id = `link-${id}`;
    if (id === this.#current) link.ariaCurrent = "page";
    link.addEventListener("click", () => this.close());
    const button = item.querySelector("button");
    button.setAttribute("aria-describedby", link.id);
    button.addEventListener("click", () => this.#remove(id));
    return item;
  }

  async #remove(id) {
    this.#removed = await this.#store.get(id);
    await this.#store.remove(id);
    find("removed").hidden = false;
    find("removed-text").textContent = `Deleted “${this.#removed.title}”.`;
    find("undo").focus();
    this.#on.removed(id);
  }

  async #undo() {
    find("removed").hidden = true;
    await this.#store.put(this.#removed);
    find("search").focus();
  }

  async #export(extension, type, write) {
    const conversation = await this.#store.get(this.#current);
    saveFile(fileName(conversation, extension), type, write(conversation));
  }

  #listenToDrawer() {
    find("conversations-toggle").addEventListener("click", () => this.#setOpen(true));
    find("shade").addEventListener("click", () => this.close());
    const close = (event) => {
      if (event.key !== "Escape" || !document.body.classList.contains("drawer")) return;
      event.stopPropagation();
      this.close();
      find("conversations-toggle").focus();
    };
    addEventListener("keydown", close, { capture: true });
  }

  #setOpen(open) {
    document.body.classList.toggle("drawer", open);
    find("conversations-toggle").ariaExpanded = String(open);
    find("shade").hidden = !open;
    for (const part of ["bar", "main", "dock", "hood"]) find(part).inert = open;
    if (open) find("sidebar").focus();
  }
}
