// What the page says: quietly to screen readers, in a notice to everybody, and errors in the service's own words.

import { button, h } from "./dom.js";
import { Problem } from "./api.js";

const STAYS_MS = 6000;

/** @param {string} text read out by screen readers when they have a moment */
export function announce(text) {
  const announcer = /** @type {HTMLElement} */ (document.getElementById("announcer"));
  announcer.textContent = "";
  requestAnimationFrame(() => { announcer.textContent = text; });
}

/** @param {string} text a notice that goes by itself */
export function tell(text) {
  show(text, "notice");
  announce(text);
}

/** @param {unknown} error shown until it is closed; what was broken off on purpose is passed over */
export function complain(error) {
  if (isAbort(error)) return;
  show(wordsOf(error), "notice bad");
}

/** @param {unknown} error */
export function wordsOf(error) {
  if (error instanceof Problem) return error.message;
  console.error(error);
  return "Something went wrong on this page. Reload it, and tell whoever runs the service if it happens again.";
}

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * An error that belongs to a place on the page.
 * @param {unknown} error
 */
export const problemBox = (error) => h("p", { class: "notice bad", role: "alert" }, wordsOf(error));

/**
 * Runs an action of a button or form: it cannot be asked twice at once, and what goes wrong is told.
 * @param {HTMLElement} control
 * @param {() => Promise<unknown>} action
 */
export async function busyWith(control, action) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  try {
    await action();
  } catch (error) {
    complain(error);
  } finally {
    control.removeAttribute("aria-busy");
  }
}

function show(text, kind) {
  const bad = kind.includes("bad");
  const notice = h("div", { class: kind, role: bad ? "alert" : null }, h("span", {}, text));
  notice.append(button("Close", () => notice.remove(), { class: "quiet" }));
  const notices = /** @type {HTMLElement} */ (document.getElementById("notices"));
  if (notices.childElementCount > 2) notices.firstElementChild?.remove();
  notices.append(notice);
  if (!bad) setTimeout(() => notice.remove(), STAYS_MS);
}
