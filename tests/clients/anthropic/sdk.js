// Anthropic's SDK for Node performs the task in the first argument, and prints what its caller saw.
import Anthropic from "@anthropic-ai/sdk";

const { url, streamed, maxRetries, abort, body } = JSON.parse(process.argv[2]);
const client = new Anthropic({ apiKey: "unused", baseURL: url, maxRetries });
const seen = { texts: [] };
try {
  if (streamed) {
    const stream = client.messages.stream(body);
    stream.on("text", (text) => {
      seen.texts.push(text);
      if (abort) stream.abort();
    });
    seen.message = await stream.finalMessage();
  } else if (body.max_tokens === undefined) {
    seen.message = await client.messages.countTokens(body);
  } else {
    seen.message = await client.messages.create(body);
  }
} catch (error) {
  seen.error = { name: error.constructor.name, status: error.status ?? null, body: error.error ?? null };
  seen.error.requestId = error.requestID ?? null;
}
console.log(JSON.stringify(seen));
