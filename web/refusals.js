/** Refusals, shown where the person can do something about them. */

import { countDown } from "./failure.js";
import { smallPrint } from "./messages.js";

const FIELDS = ["prompt", "provider", "model", "system", "max_tokens", "temperature"];
const find = (id) => document.getElementById(id);

/** Show `refusal` beside its field, else above the composer; `again()` is what trying again means. */
export function showRefusal(refusal, again) {
  const field = refusal.field === "messages" ? "prompt" : refusal.field;
  if (FIELDS.includes(field)) showBeside(field, refusal.message);
  else showTrouble(refusal, again);
}

/** Show `text` beside a field, and bring the person there. */
export function showBeside(field, text) {
  if (find("options").contains(find(field))) setOptions(true);
  find(`${field}-refusal`).textContent = text;
  find(`${field}-refusal`).hidden = false;
  find(field).ariaInvalid = "true";
  find(field).focus();
  find(`${field}-refusal`).scrollIntoView({ block: "nearest" });
}

/** Take all of them away. */
export function clearRefusals() {
  for (const field of FIELDS) {
    find(`${field}-refusal`).hidden = true;
    find(field).ariaInvalid = null;
  }
  stopClock();
  find("trouble").hidden = true;
}

/** Open or close the options. */
export function setOptions(open) {
  find("options").hidden = !open;
  find("options-toggle").ariaExpanded = String(open);
}

let stopClock = () => {};

function showTrouble(refusal, again) {
  find("trouble-text").textContent = refusal.message;
  find("trouble-print").textContent = smallPrint(refusal.code, refusal.requestId);
  const button = find("trouble-action");
  button.onclick = again;
  stopClock = countDown(button, refusal.retryAfter, "Try again");
  button.hidden = false;
  find("trouble").hidden = false;
}
