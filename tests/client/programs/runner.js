/** Observes tasks in Node, Deno or Bun: a JSON object a line in, `{n, seen}` a line out. The argument is the client's path. */

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { observe } from "./observe.js";

const client = await import(pathToFileURL(process.argv[2]));

for await (const line of createInterface({ input: process.stdin })) {
  const { n, ...task } = JSON.parse(line);
  observe(client, task).then((seen) => console.log(JSON.stringify({ n, seen })));
}
