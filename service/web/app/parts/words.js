// The words that a class starts from: shown, written, taken away. Only encoders that know text (CLIP) can read them.

import { ofCatalogue, request } from "../api.js";
import { button, field, h } from "../dom.js";
import { mayWrite } from "../session.js";
import { busyWith, tell } from "../telling.js";
import { labelField } from "./label-field.js";

const LONGEST = 10_000;

/**
 * The words of one class.
 * @param {string} catalogue
 * @param {import("./classes.js").Words} words
 * @param {(label: string | null) => void} onChange called with the label to show next, null for none
 */
export function wordsOf(catalogue, words, onChange) {
  const remove = button("Remove the words", () => busyWith(remove, end));
  return h("div", { class: "stack" }, h("p", { class: "hint" }, "It starts from words, which fade as pictures arrive:"),
    h("ul", { class: "templates" }, ...words.templates.map((one) => h("li", {}, one.replaceAll("{label}", words.label)))),
    mayWrite() ? h("p", { class: "row" }, remove) : null);

  async function end() {
    await request("DELETE", ofCatalogue(catalogue, "prompts", words.label));
    tell(`${words.label} has no words any more.`);
    onChange(null);
  }
}

/**
 * A form that gives a class words, or others than it has.
 * @param {{about: any, labels: string[], onChange: (label: string) => void}} options
 */
export function wordsForm({ about, labels, onChange }) {
  const { element, input } = labelField("Label", labels, { required: true });
  const texts = h("textarea", { rows: 3, maxlength: LONGEST, spellcheck: "true", placeholder: "a photo of a {label}" });
  const submit = h("button", { type: "submit" }, "Start from words");
  return h("details", { class: "words" }, h("summary", {}, "Start a class from words"),
    h("form", { class: "stack narrow", on: { submit: enter } },
      h("p", {}, `Without a picture a class answers by what its pictures would show. ${hintOf(about.encoder)}`), element,
      field("What its pictures show", texts, "A text a line; {label} stands for the label. None: a few general ones."),
      h("div", { class: "row" }, submit)));

  function enter(event) {
    event.preventDefault();
    const templates = texts.value.split("\n").map((one) => one.trim()).filter(Boolean);
    busyWith(submit, async () => {
      const made = await request("PUT", ofCatalogue(about.name, "prompts", input.value.trim()), { json: { templates } });
      tell(`${made.label} has words to answer by.`);
      onChange(made.label);
    });
  }
}

/** @param {string} encoder its specification */
export const hintOf = (encoder) =>
  /clip/i.test(encoder) ? "" : `Words need a CLIP encoder; this catalogue has ${encoder}.`;
