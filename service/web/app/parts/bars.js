// Shares as bars, with the number beside them.

import { freshId, h } from "../dom.js";
import { percent } from "../format.js";

/**
 * @param {string} name
 * @param {number} share 0..1
 * @param {string} [shown] instead of the share in per cent
 */
export function bar(name, share, shown = percent(share)) {
  const id = freshId("bar");
  return h("div", { class: "bar" },
    h("span", { class: "bar-name", id }, name),
    h("meter", { min: 0, max: 1, value: Math.min(1, Math.max(0, share)), "aria-labelledby": id }),
    h("span", { class: "bar-value" }, shown));
}
