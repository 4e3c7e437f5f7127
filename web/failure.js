/** A failure in plain words, and what can be done about it. */

import { adviceFor, sentence, smallPrint, titleOf } from "./messages.js";

/** Fill `box` with the event `error` of a stream. */
export function showFailure(box, failure) {
  const find = (selector) => box.querySelector(selector);
  find("h3").textContent = titleOf(failure);
  find(".message").textContent = sentence(failure.message);
  find(".advice").textContent = adviceFor(failure);
  find(".small-print").textContent = smallPrint(failure.code, failure.request_id);
  box.hidden = false;
}

/**
 * Let `button`, which says `label`, be pressed only after so many `seconds` (null: at once), and count them down on it.
 * Returns how to stop the clock.
 */
export function countDown(button, seconds, label) {
  const text = button.querySelector("span") ?? button;
  const until = performance.now() + (seconds ?? 0) * 1000;
  const show = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    button.disabled = left > 0;
    text.textContent = left > 0 ? `${label} in ${left} s` : label;
    if (left <= 0) clearInterval(timer);
  };
  const timer = setInterval(show, 250);
  show();
  return () => clearInterval(timer);
}
