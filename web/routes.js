/** Which conversation the page's address names. The id says nothing about what was asked. */

const PREFIX = "#chat=";

export const linkTo = (id) => `${PREFIX}${id}`;

/** The id in the address, or null. */
export const idInAddress = () => (location.hash.startsWith(PREFIX) ? location.hash.slice(PREFIX.length) : null);

/** Bring `id` (null: no conversation) into the address; with `replace`, the one before is not gone back to. */
export function setAddress(id, { replace = false } = {}) {
  if (id === idInAddress()) return;
  const address = id ? linkTo(id) : location.pathname + location.search;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}
