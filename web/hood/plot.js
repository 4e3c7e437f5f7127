/** A small plot of the gaps between tokens: one bar a gap, the newest at the right. */

import { duration } from "../messages.js";
import { KEPT_GAPS, quantile } from "./recorder.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = KEPT_GAPS * 2;
const HEIGHT = 64;

export class Plot {
  element = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "hood-plot" });
  #bars = svg("path", {});

  constructor() {
    this.element.append(this.#bars);
    this.show([]);
  }

  /** Draw `gaps`, in milliseconds. */
  show(gaps) {
    const most = Math.max(1, ...gaps);
    const left = WIDTH - gaps.length * 2;
    const bars = gaps.map((gap, index) => `M${left + index * 2 + 1} ${HEIGHT}v${-Math.max(1, (gap / most) * (HEIGHT - 2)).toFixed(1)}`);
    this.#bars.setAttribute("d", bars.join(""));
    this.element.setAttribute("aria-label", describe(gaps));
  }
}

/** The gaps in words. */
export function describe(gaps) {
  if (!gaps.length) return "No gaps between tokens yet";
  const [middle, high] = [quantile(gaps, 0.5), quantile(gaps, 0.95)];
  return `Gaps between the last ${gaps.length + 1} tokens: half are below ${duration(middle)}, 95 % below ${duration(high)}, the longest took ${duration(Math.max(...gaps))}`;
}

function svg(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
