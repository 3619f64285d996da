// A picture of this computer, shown before the service has it. Its address is given back once it is shown.

import { h } from "../dom.js";

/**
 * @param {File} file
 * @param {string} [alt]
 * @returns {HTMLImageElement}
 */
export function previewImage(file, alt = "") {
  const url = URL.createObjectURL(file);
  const done = () => URL.revokeObjectURL(url);
  return h("img", { src: url, alt, on: { load: done, error: done } });
}
