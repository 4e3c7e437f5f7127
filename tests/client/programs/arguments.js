/** Prints the field that each call complains of. Arguments: the client's path, and the calls as JSON. */

import { pathToFileURL } from "node:url";

const { resume, stream, StreamError } = await import(pathToFileURL(process.argv[2]));

globalThis.fetch = () => {
  console.log("a request was sent");
  process.exit(1);
};

function complaint({ url = "http://h", id, options }) {
  try {
    if (id === undefined) stream(url, options);
    else resume(url, id, options);
  } catch (error) {
    return error instanceof StreamError && error.code === "invalid_request" ? error.field : String(error);
  }
  return null;
}

console.log(JSON.stringify(JSON.parse(process.argv[3]).map(complaint)));
