// Thumbnails of examples, each a button that opens what is known about it.

import { thumbnailOf } from "../api.js";
import { h } from "../dom.js";
import { decimal, fileName } from "../format.js";
import { showExample } from "./example-dialog.js";

/** @typedef {{id: string, label: string, source: string, split?: string, similarity?: number}} Shown */

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
  const likeness = example.similarity === undefined ? null : h("span", { class: "hint" }, decimal(example.similarity));
  return h("button", { type: "button", class: "tile", title: example.source, on: { click: () => showExample(catalogue, example.id, onChange) } },
    thumbnail(catalogue, example), h("span", { class: "tile-label" }, example.label), likeness);
}

/** @param {string} catalogue @param {{id: string, label: string, source: string}} example @param {number} [edge] */
export function thumbnail(catalogue, example, edge = 160) {
  return h("img", {
    src: thumbnailOf(catalogue, example.id, edge), alt: `${example.label}: ${fileName(example.source)}`,
    loading: "lazy", decoding: "async", width: edge, height: edge,
  });
}
