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
  const filled = Math.min(1, Math.max(0, share));
  const meter = h("div", {
    class: "meter", role: "meter", "aria-labelledby": id, "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": filled,
    "aria-valuetext": shown,
  });
  meter.style.setProperty("--share", String(filled));
  return h("div", { class: "bar" },
    h("span", { class: "bar-name", id }, name), meter,
    h("span", { class: "bar-value" }, shown));
}
