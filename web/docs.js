// The API reference: openapi.json, shown. Everything is built as DOM nodes, and nothing is loaded from elsewhere.

const METHODS = ["get", "post", "put", "patch", "delete"];
const SAY_HELLO = [{ role: "user", content: "hello" }];

/** A body for each request that starts an answer. "echo" is a provider of the built-in configuration. */
const BODIES = {
  "/api/chat/stream": { prompt: "hello" },
  "/api/chat/streams": { prompt: "hello" },
  "/v1/chat/completions": { model: "echo", messages: SAY_HELLO, stream: true },
  "/v1/responses": { model: "echo", input: "hello", stream: true },
  "/v1/messages": { model: "echo", max_tokens: 100, messages: SAY_HELLO, stream: true },
  "/v1/messages/count_tokens": { model: "echo", messages: SAY_HELLO },
  "/api/ai/chat": { id: "chat-1", messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "hello" }] }] },
};

/** Make an element with attributes and children; a string becomes text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Text in which `code` between backticks is set as code; Sphinx's roles, as in :class:`~a.B`, are left out. */
function prose(text = "") {
  return text.replace(/:[a-z]+:`~?/g, "`").split(/`+/).map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

const identifier = (text) => text.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase();
const schemaName = (reference) => reference.split("/").at(-1);

/** A short description of a schema's type, with links to the named ones. */
function type(schema = {}) {
  if (schema.$ref) {
    const name = schemaName(schema.$ref);
    return [element("a", { href: `#schema-${identifier(name)}` }, name)];
  }
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return alternatives.flatMap((each, index) => (index ? [" or ", ...type(each)] : type(each)));
  if (schema.enum) return schema.enum.flatMap((each, index) => (index ? [", ", literal(each)] : [literal(each)]));
  if ("const" in schema) return [literal(schema.const)];
  if (schema.type === "array") return ["array of ", ...type(schema.items)];
  return [[schema.type ?? "any value"].flat().join(" or ")];
}

const literal = (value) => element("code", {}, JSON.stringify(value));

/** What a value has to satisfy besides its type. */
function bounds(schema = {}) {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return alternatives.map(bounds).filter(Boolean).join(", or ");
  const facts = [];
  if ("minimum" in schema) facts.push(`at least ${schema.minimum}`);
  if ("exclusiveMinimum" in schema) facts.push(`more than ${schema.exclusiveMinimum}`);
  if ("maximum" in schema) facts.push(`at most ${schema.maximum}`);
  if ("minLength" in schema) facts.push(`at least ${schema.minLength} characters`);
  if ("maxLength" in schema) facts.push(`at most ${schema.maxLength} characters`);
  if ("minItems" in schema) facts.push(`at least ${schema.minItems} items`);
  if ("maxItems" in schema) facts.push(`at most ${schema.maxItems} items`);
  if (schema.default !== undefined && schema.default !== null) facts.push(`default ${JSON.stringify(schema.default)}`);
  return facts.join(", ");
}

function table(headings, rows) {
  const head = element("tr", {}, ...headings.map((each) => element("th", { scope: "col" }, each)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, ...[cell].flat()))));
  const made = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": headings.join(", ") }, made);
}

function explained(schema, description) {
  const facts = bounds(schema);
  const first = (schema?.anyOf ?? []).find((each) => each.description);
  return [...prose(description ?? schema?.description ?? first?.description ?? ""), ...(facts ? [element("small", {}, ` ${facts}`)] : [])];
}

function parameters(list) {
  const rows = list.map((each) => [
    [element("code", {}, each.name), ...(each.required ? [element("small", {}, " required")] : [])],
    each.in,
    type(each.schema),
    explained(each.schema, each.description),
  ]);
  return table(["Parameter", "In", "Type", "Meaning"], rows);
}

function properties(schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) => [
    [element("code", {}, name), ...(required.has(name) ? [element("small", {}, " required")] : [])],
    type(property),
    explained(property),
  ]);
  return rows.length ? table(["Field", "Type", "Meaning"], rows) : element("p", {}, ...type(schema));
}

function responses(answers) {
  const rows = Object.entries(answers).map(([status, answer]) => [
    element("code", {}, status),
    prose(answer.description),
    Object.entries(answer.content ?? {}).map(([media, { schema }]) =>
      element("div", {}, element("code", {}, media), " ", ...type(schema)),
    ),
  ]);
  return table(["Status", "Meaning", "Body"], rows);
}

/** A command that sends the request: it can be copied from the page and run. */
function curl(method, path, operation) {
  const base = new URL(".", location.href).href.replace(/\/$/, "");
  const words = ["curl", "-N"];
  if (method !== "get") words.push("-X", method.toUpperCase());
  if (operation.security?.length) words.push("-H 'Authorization: Bearer KEY'");
  if (operation.requestBody) words.push(`-H 'Content-Type: application/json' -d '${JSON.stringify(BODIES[path] ?? {})}'`);
  const prompt = operation.parameters?.some((each) => each.name === "prompt") ? "?prompt=hello" : "";
  words.push(`'${base}${path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase())}${prompt}'`);
  return element("pre", { tabindex: "0" }, element("code", {}, words.join(" ")));
}

function section(method, path, operation) {
  const id = identifier(`${method} ${path}`);
  const made = element("section", { id, "aria-labelledby": `${id}-heading` });
  const verb = element("span", { class: `method ${method}` }, method.toUpperCase());
  made.append(element("h2", { id: `${id}-heading` }, verb, " ", element("code", {}, path)));
  made.append(element("p", {}, ...prose(operation.summary)));
  if (operation.security?.length) made.append(element("p", { class: "key" }, "Needs an API key."));
  made.append(curl(method, path, operation));
  if (operation.parameters?.length) made.append(element("h3", {}, "Parameters"), parameters(operation.parameters));
  for (const { schema } of Object.values(operation.requestBody?.content ?? {})) {
    made.append(element("h3", {}, "Body"), element("p", {}, "JSON: ", ...type(schema)));
  }
  made.append(element("h3", {}, "Responses"), responses(operation.responses));
  const link = element("a", { href: `#${id}` }, verb.cloneNode(true), " ", path);
  return [made, element("li", {}, link)];
}

function schemaSection(name, schema) {
  const id = `schema-${identifier(name)}`;
  const made = element("section", { id });
  made.append(element("h2", {}, element("code", {}, name)), element("p", {}, ...prose(schema.description)), properties(schema));
  return [made, element("li", {}, element("a", { href: `#${id}` }, name))];
}

function show(description) {
  const main = document.getElementById("reference");
  const list = document.getElementById("operations");
  document.getElementById("title").textContent = `${description.info.title} ${description.info.version}: API reference`;
  document.getElementById("description").replaceChildren(...prose(description.info.description));
  document.title = document.getElementById("title").textContent;
  const operations = Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => section(method, path, item[method])),
  );
  const schemas = Object.entries(description.components?.schemas ?? {}).map((entry) => schemaSection(...entry));
  main.replaceChildren(...[...operations, ...schemas].map(([made]) => made));
  list.replaceChildren(...[...operations, ...schemas].map(([, link]) => link));
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

async function load() {
  const status = document.getElementById("status");
  try {
    const response = await fetch("openapi.json");
    if (!response.ok) throw new Error(`The server answered with the status ${response.status}.`);
    show(await response.json());
  } catch (error) {
    status.textContent = `The description of the API could not be loaded. ${error.message} Reload the page to try again.`;
  }
}

load();
