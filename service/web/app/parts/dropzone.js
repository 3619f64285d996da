// A place to drop pictures on, with buttons for those who do not drag.

import { button, h } from "../dom.js";
import { complain } from "../telling.js";
import { ACCEPTED, picturesOfDrop, picturesOfFiles } from "./picture-files.js";

/**
 * @param {{title: string, hint?: string, folders?: boolean, multiple?: boolean,
 *   onPictures: (pictures: import("./picture-files.js").Picture[]) => void}} options
 * @returns {HTMLElement}
 */
export function dropzone({ title, hint, folders = false, multiple = true, onPictures }) {
  const files = picker({ multiple, accept: ACCEPTED, "aria-label": multiple ? "Pictures" : "Picture" }, onPictures);
  const folder = folders ? picker({ webkitdirectory: true, multiple: true, "aria-label": "Folder" }, onPictures) : null;
  const zone = h("section", { class: "dropzone", "aria-label": title },
    h("p", { class: "dropzone-title" }, title),
    hint ? h("p", { class: "hint" }, hint) : null,
    h("div", { class: "row centred" },
      button(multiple ? "Choose pictures" : "Choose a picture", () => files.click()),
      folder ? button("Choose a folder", () => folder.click()) : null),
    files, folder);
  return accepting(zone, onPictures);
}

function picker(attributes, onPictures) {
  const input = h("input", { type: "file", hidden: true, ...attributes });
  input.addEventListener("change", () => {
    const pictures = picturesOfFiles(input.files);
    input.value = "";
    onPictures(pictures);
  });
  return input;
}

function accepting(zone, onPictures) {
  const over = (event) => { event.preventDefault(); zone.classList.add("over"); };
  const out = () => zone.classList.remove("over");
  zone.addEventListener("dragenter", over);
  zone.addEventListener("dragover", over);
  zone.addEventListener("dragleave", out);
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    out();
    picturesOfDrop(event.dataTransfer).then(onPictures, complain);
  });
  return zone;
}

/**
 * Pictures that are pasted while a place is shown.
 * @param {AbortSignal} signal of the place
 * @param {(pictures: import("./picture-files.js").Picture[]) => void} onPictures
 */
export function onPaste(signal, onPictures) {
  const pasted = (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) onPictures(picturesOfFiles(files));
  };
  document.addEventListener("paste", pasted, { signal });
}
