/** JSON for people. */

const TOKEN = /"(?:[^"\\]+|\\.)*"|[{[]\s*[}\]]|[{}[\],:]|\s+/g;

/** `json` with a field a line, its values as they are written; null if it is not valid. */
export function indented(json) {
  try {
    JSON.parse(json);
  } catch {
    return null;
  }
  // The parsed value is not written anew: that would change numbers with many digits.
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return json.replace(TOKEN, (token) => {
    if (token.length > 1 && token[0] !== '"') return token.trim() && `${token[0]}${token.at(-1)}`;
    if (token === "{" || token === "[") return token + (depth++, line());
    if (token === "}" || token === "]") return (depth--, line()) + token;
    if (token === ",") return token + line();
    return token === ":" ? ": " : token.trim() && token;
  });
}
