// A picture of this computer, shown before the service has it. Its address is given back once it is shown.

import { h } from "../dom.js";

/**
 * @param {File} file
 * @param {string} [alt]
 * @returns {HTMLImageElement} gives way to a sentence where the browser cannot read it
 */
export function previewImage(file, alt = "") {
  const url = URL.createObjectURL(file);
  const image = h("img", { src: url, alt });
  image.addEventListener("load", () => URL.revokeObjectURL(url));
  image.addEventListener("error", () => {
    URL.revokeObjectURL(url);
    image.replaceWith(h("span", { class: "no-preview" }, `${file.name} cannot be shown`));
  });
  return image;
}
