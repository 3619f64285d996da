// The answer for one picture: label, confidence, margin, why, runners-up, and the references that it resembles.

import { h, put } from "../dom.js";
import { decimal, fileName, percent, sentence } from "../format.js";
import { mayWrite } from "../session.js";
import { busyWith } from "../telling.js";
import { bar } from "./bars.js";
import { gallery } from "./gallery.js";
import { jobPanel } from "./job-panel.js";
import { labelField } from "./label-field.js";
import { previewImage } from "./preview-image.js";
import { ingest } from "./upload.js";

const NEIGHBOURS = 10;

/** @param {any} answer @returns {string} what a screen reader says */
export function spoken(answer) {
  if (answer.error) return `No answer: ${answer.error}`;
  if (answer.rejected) return `Rejected: ${answer.rejected.reason}`;
  return `${answer.label}, confidence ${percent(answer.confidence)}`;
}

/**
 * @param {string} catalogue
 * @param {any} answer
 * @param {import("./picture-files.js").Picture} picture
 * @param {string[]} labels of the catalogue
 * @param {AbortSignal} signal of the place
 */
export function answerCard(catalogue, answer, picture, labels, signal) {
  const name = fileName(picture.path);
  const shown = h("figure", { class: "asked" }, previewImage(picture.file, `The picture asked about: ${name}`), h("figcaption", {}, name));
  const body = answer.error ? unusable(answer) : told(catalogue, answer);
  const keep = answer.error || !mayWrite() ? null : keeping(catalogue, answer, picture, labels, signal);
  return h("article", { class: "card answer" }, shown, h("div", { class: "stack" }, ...body, keep));
}

const unusable = (answer) => [h("h2", {}, "No answer"), h("p", {}, sentence(answer.error))];

function told(catalogue, answer) {
  const near = answer.neighbours.length
    ? [h("h3", {}, "It resembles"), gallery(catalogue, answer.neighbours.slice(0, NEIGHBOURS), { named: "Nearest references" })] : [];
  return [verdict(answer), figures(answer), ...why(answer), ...runners(answer), ...near, basis(answer)];
}

function verdict(answer) {
  if (!answer.rejected) return h("h2", { class: "verdict" }, answer.label);
  return h("h2", { class: "verdict rejected" }, `Rejected: ${answer.rejected.reason}`);
}

function figures(answer) {
  return h("div", { class: "bars" }, bar("confidence", answer.confidence), bar("margin", answer.margin, decimal(answer.margin)));
}

function why(answer) {
  const told = [...answer.notes];
  if (answer.rejected) {
    const { trust, needed } = answer.rejected;
    const digits = [1, 2, 3, 4, 5, 6].find((one) => percent(trust, one) !== percent(needed, one)) ?? 1;
    told.unshift(`Its trust is ${percent(trust, digits)}; ${percent(needed, digits)} is needed for so small an error.`);
  }
  return told.length ? [h("ul", { class: "notes", "aria-label": "Why" }, ...told.map((note) => h("li", {}, sentence(note))))] : [];
}

function runners(answer) {
  if (answer.top.length < 2) return [];
  const best = Math.max(...answer.top.map((one) => one.score), 1e-9);
  const rows = answer.top.map((one) => bar(one.label, one.score / best, decimal(one.score)));
  return [h("details", {}, h("summary", {}, `The best ${answer.top.length} labels`), h("div", { class: "bars" }, ...rows))];
}

function basis(answer) {
  const selection = answer.selection ? `selection ${answer.selection}` : "no selection";
  const encoder = answer.encoder ? ` · encoder ${answer.encoder.specification}` : "";
  return h("p", { class: "hint" }, `Answered by ${selection}${encoder}`);
}

function keeping(catalogue, answer, picture, labels, signal) {
  const { element, input } = labelField("Use it as a new example of", labels, { value: answer.label ?? "", required: true });
  const add = h("button", { type: "submit" }, "Add");
  const done = h("div");
  return h("div", {}, h("form", { class: "row end", on: { submit: enter } }, element, add), done);

  function enter(event) {
    event.preventDefault();
    busyWith(add, async () => {
      const job = await ingest(catalogue, [{ ...picture, label: input.value.trim() }]);
      put(done, jobPanel(job, { signal }));
    });
  }
}
