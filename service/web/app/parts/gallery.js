// Thumbnails of examples, each a button that opens what is known about it.

import { thumbnailOf } from "../api.js";
import { h } from "../dom.js";
import { decimal, fileName, percent } from "../format.js";
import { showExample } from "./example-dialog.js";
import { withoutPicture } from "./no-picture.js";

/** @typedef {{id: string, label: string, source?: string, similarity?: number, confidence?: number}} Shown */

/**
 * @param {string} catalogue
 * @param {Shown[]} examples
 * @param {{onChange?: () => void, named?: string}} [options] `onChange`: an example was relabelled or deleted
 * @returns {HTMLElement}
 */
export function gallery(catalogue, examples, { onChange, named = "Pictures" } = {}) {
  const items = examples.map((example) => h("li", {}, tile(catalogue, example, onChange)));
  return h("ul", { class: "gallery", "aria-label": named }, ...items);
}

/** @param {string} catalogue @param {Shown} example @param {() => void} [onChange] */
export function tile(catalogue, example, onChange) {
  const open = () => showExample(catalogue, example.id, onChange);
  return h("button", { type: "button", class: "tile", title: example.source ?? example.label, on: { click: open } },
    thumbnail(catalogue, example), h("span", { class: "tile-label" }, example.label), h("span", { class: "hint" }, noteOf(example)));
}

/** @param {Shown} example */
function noteOf(example) {
  if (example.similarity !== undefined) return `similarity ${decimal(example.similarity)}`;
  if (example.confidence !== undefined) return `confidence ${percent(example.confidence)}`;
  return example.source ? fileName(example.source) : "";
}

/**
 * Where the source is not known there is nothing to say that the label beside it does not say.
 * @param {string} catalogue
 * @param {Shown} example
 * @param {number} [edge] longer edge, pixels
 */
export function thumbnail(catalogue, example, edge = 160) {
  return h("img", {
    src: thumbnailOf(catalogue, example.id, edge), alt: example.source ? `${example.label}: ${fileName(example.source)}` : "",
    loading: "lazy", decoding: "async", width: edge, height: edge, on: { error: withoutPicture },
  });
}
