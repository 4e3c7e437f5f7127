/** A failure, in the words of the person who met it, and what can be done. */

import { adviceFor, sentence, smallPrint, titleOf } from "./words.js";

/** Fill `box`; `on.again()` and `on.edit()` are what its button may mean. Returns how to stop its clock. */
export function showFailure(box, failure, on) {
  const find = (selector) => box.querySelector(selector);
  find("h3").textContent = titleOf(failure);
  find(".message").textContent = sentence(failure.message);
  find(".advice").textContent = adviceFor(failure);
  find(".small-print").textContent = smallPrint(failure.code, failure.request_id);
  box.hidden = false;
  const button = find(".again");
  if (failure.retryable) {
    button.addEventListener("click", on.again);
    return countDown(button, failure.retry_after);
  }
  button.textContent = "Edit the question";
  button.addEventListener("click", on.edit);
  return () => {};
}

/** Let `button` be pressed only after so many `seconds` (null: at once), and count them down on it. */
export function countDown(button, seconds) {
  const until = performance.now() + (seconds ?? 0) * 1000;
  const show = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left <= 0) clearInterval(timer);
  };
  const timer = setInterval(show, 250);
  show();
  return () => clearInterval(timer);
}
