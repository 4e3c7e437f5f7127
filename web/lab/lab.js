/** The lab: the promises of the server, each to be tried. */

import { fetchProviders } from "../api.js";
import { make } from "../elements.js";
import { Card } from "./card.js";
import { Difference } from "./difference.js";
import { experiments } from "./experiments.js";

/** Fill `body` whenever `dialog` opens for the first time, or could not be filled before. */
export function mountLab(dialog, body) {
  dialog.addEventListener("open", async () => {
    if (body.dataset.ready) return;
    body.replaceChildren(make("p", { textContent: "Looking for the echo provider…" }));
    try {
      const { providers } = await fetchProviders();
      fill(body, providers.find(({ kind, ready }) => kind === "echo" && ready));
    } catch (error) {
      body.replaceChildren(make("p", { textContent: error.message }));
    }
  });
}

function fill(body, echo) {
  if (!echo) {
    const text =
      "These experiments need the echo provider, which answers with the prompt and costs nothing. This server has none, or your key " +
      "may not use it. Add to its config.toml: [providers.echo] with kind = \"echo\".";
    body.replaceChildren(make("p", { textContent: text }));
    return;
  }
  body.dataset.ready = "true";
  const costless = `The provider “${echo.name}” answers with the prompt. It needs no key, and nothing here costs anything.`;
  const cards = experiments(echo.name).map((each) => new Card(each).element);
  body.replaceChildren(
    make("p", { textContent: costless }),
    new Difference(echo.name).element,
    make("h3", { className: "lab-title", textContent: "Break it" }),
    make("div", { className: "lab-cards" }, ...cards),
  );
}
