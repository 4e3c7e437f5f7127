/** Character references. The names are those that models write; the whole table of HTML has 2,125. */

const NAMED = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", hellip: "…",
  mdash: "—", ndash: "–", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", laquo: "«", raquo: "»", bull: "•",
  middot: "·", times: "×", divide: "÷", plusmn: "±", deg: "°", micro: "µ", para: "¶", sect: "§", euro: "€",
  pound: "£", yen: "¥", cent: "¢", frac12: "½", frac14: "¼", frac34: "¾", larr: "←", uarr: "↑", rarr: "→",
  darr: "↓", harr: "↔", rArr: "⇒", hArr: "⇔", le: "≤", ge: "≥", ne: "≠", asymp: "≈", infin: "∞", minus: "−",
  sum: "∑", prod: "∏", radic: "√", int: "∫", part: "∂", forall: "∀", exist: "∃", isin: "∈", cap: "∩", cup: "∪",
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", lambda: "λ", mu: "μ", pi: "π", sigma: "σ",
  tau: "τ", phi: "φ", omega: "ω", Delta: "Δ", Sigma: "Σ", Omega: "Ω", colon: ":", Tab: "\t", NewLine: "\n",
};
const REFERENCE = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z][a-z\d]{1,31}));/iy;

/** The reference at `index`: `{text, end}`, or null. */
export function entityAt(text, index) {
  REFERENCE.lastIndex = index;
  const found = REFERENCE.exec(text);
  const decoded = found && decode(found);
  return decoded ? { text: decoded, end: REFERENCE.lastIndex } : null;
}

/** `text` with every reference replaced. */
export const withEntities = (text) =>
  text.replace(new RegExp(REFERENCE.source, "gi"), (...found) => decode(found) ?? found[0]);

function decode([, decimal, hexadecimal, name]) {
  if (name) return Object.hasOwn(NAMED, name) ? NAMED[name] : null;
  const code = decimal ? Number(decimal) : Number.parseInt(hexadecimal, 16);
  const valid = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return valid ? String.fromCodePoint(code) : "\ufffd";
}
