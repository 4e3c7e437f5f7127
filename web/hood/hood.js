/** Under the hood: what the page and the server say to each other, as it happens. */

import { exchanges } from "../exchange.js";
import { Recorder } from "./recorder.js";
import { HoodView } from "./view.js";

const TYPES = ["request", "response", "raw", "broken", "event", "status", "end"];
/** How often the panel is drawn at the most. */
const DRAW_MS = 100;

/** Show the current exchange in `panel` while it is open. */
export function mountHood(panel) {
  const view = new HoodView(panel);
  let recorder = null;
  let timer = 0;

  const draw = () => {
    timer = 0;
    if (!panel.hidden) view.show(recorder);
  };
  const changed = () => (timer ||= panel.hidden ? 0 : setTimeout(draw, DRAW_MS));

  const watch = (exchange) => {
    recorder = new Recorder(exchange);
    const mine = recorder;
    const take = (type, detail) => {
      mine.take(type, detail);
      if (mine === recorder) changed();
    };
    for (const [type, detail] of exchange.history) take(type, detail);
    for (const type of TYPES) exchange.addEventListener(type, ({ detail }) => take(type, detail));
    changed();
  };

  exchanges.addEventListener("exchange", ({ detail }) => watch(detail));
  panel.addEventListener("open", draw);
  if (exchanges.current) watch(exchanges.current);
}
