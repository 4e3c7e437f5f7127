/** Values as the source code of other languages, whatever is in them. */

/** A JavaScript literal that may also stand in a page's script. */
export const javascript = (value, indent = 2) =>
  JSON.stringify(value, null, indent)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");

/** A word of a POSIX shell. */
export const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A Python literal: JSON's strings and numbers are Python's too. */
export function python(value, indent = "") {
  const inner = `${indent}    `;
  if (Array.isArray(value)) return `[\n${value.map((each) => `${inner}${python(each, inner)},\n`).join("")}${indent}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${python(each, inner)}`).join(", ")}}`;
}

/** The keyword arguments of a Python call, one a line. */
export const keywords = (fields, indent) =>
  Object.entries(fields)
    .map(([name, value]) => `${indent}${name}=${python(value, indent)},\n`)
    .join("");
