// A modal dialog with a heading and a way out. The browser keeps the focus in it and gives it back.

import { button, freshId, h } from "../dom.js";

/**
 * @param {string} title
 * @param {...import("../dom.js").Child} children
 * @returns {{dialog: HTMLDialogElement, close: () => void}}
 */
export function openDialog(title, ...children) {
  const id = freshId("dialog");
  const close = () => dialog.close();
  const head = h("div", { class: "dialog-head" }, h("h2", { id }, title), button("Close", close, { class: "quiet" }));
  const dialog = h("dialog", { "aria-labelledby": id, class: "stack" }, head, ...children);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close };
}

/**
 * Asks before something that cannot be taken back.
 * @param {string} title
 * @param {string} text
 * @param {string} action what the button says
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, action) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = button(action, () => { answer = true; close(); }, { class: "danger" });
    const { dialog, close } = openDialog(title, h("p", {}, text), h("div", { class: "row" }, yes));
    dialog.addEventListener("close", () => resolve(answer));
  });
}
