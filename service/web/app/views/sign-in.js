// Signing in with a key.

import { field, freshId, h, put } from "../dom.js";
import { signIn } from "../session.js";
import { problemBox } from "../telling.js";

/**
 * @param {HTMLElement} view
 * @param {() => Promise<void>} onDone
 */
export function showSignIn(view, onDone) {
  const key = h("input", {
    type: "password", name: "key", autocomplete: "current-password", required: true, spellcheck: "false",
    placeholder: "holo_…", id: freshId("key"),
  });
  const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
  const wrong = h("div");
  const hint = "It is shown once when it is made: by “holotype serve” at its first start, or by an administrator.";
  const form = h("form", { class: "card stack", on: { submit: enter } }, field("Your key", key, hint), wrong, submit);
  put(
    view,
    h("div", { class: "sign-in stack" },
      h("h1", {}, "Which class is this picture?"),
      h("p", { class: "lead" }, "Holotype answers by looking at a few well chosen references. Sign in to open your catalogues."),
      form),
  );
  key.focus();

  async function enter(event) {
    event.preventDefault();
    put(wrong);
    submit.setAttribute("aria-busy", "true");
    try {
      await signIn(key.value.trim());
      await onDone();
    } catch (error) {
      put(wrong, problemBox(error));
      key.focus();
    } finally {
      submit.removeAttribute("aria-busy");
    }
  }
}
