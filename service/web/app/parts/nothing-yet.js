// What an empty catalogue shows in place of what it has not: where to begin.

import { h } from "../dom.js";
import { linkTo } from "../router.js";

/** @param {string} catalogue @param {string} text */
export function nothingYet(catalogue, text) {
  return h("p", { class: "empty" }, `${text} `, h("a", { href: linkTo(catalogue, "add") }, "Add pictures"), " first.");
}
