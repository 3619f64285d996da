// A field for a label, which offers the labels that are known.

import { field, freshId, h } from "../dom.js";

/** As many characters as the service allows. */
const LONGEST = 200;

/**
 * @param {string} title
 * @param {string[]} known labels to offer
 * @param {import("../dom.js").Attributes & {value?: string}} [attributes] of the input
 * @returns {{element: HTMLElement, input: HTMLInputElement}}
 */
export function labelField(title, known, { value = "", ...attributes } = {}) {
  const list = freshId("labels");
  const input = h("input", { type: "text", list, autocomplete: "off", maxlength: LONGEST, ...attributes });
  input.value = value;
  const element = field(title, input);
  element.append(h("datalist", { id: list }, ...known.map((label) => h("option", { value: label }))));
  return { element, input };
}
