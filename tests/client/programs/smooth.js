/** Prints what a loop is given of a burst, with and without pacing. Arguments: the client's path and the server. */

import { pathToFileURL } from "node:url";

const { stream } = await import(pathToFileURL(process.argv[2]));

async function pieces(options) {
  const lengths = [];
  const began = Date.now();
  let text = "";
  const answer = stream(process.argv[3], { prompt: "burst", ...options });
  for await (const event of answer) {
    if (event.type !== "text") continue;
    lengths.push([...event.text].length);
    text += event.text;
  }
  return { lengths, text, whole: await answer.text, milliseconds: Date.now() - began };
}

const smooth = await pieces({ smooth: true });
const plain = await pieces({});
globalThis.matchMedia = (query) => ({ matches: query === "(prefers-reduced-motion: reduce)" });
const reduced = await pieces({ smooth: true });
console.log(JSON.stringify({ smooth, plain, reduced }));
