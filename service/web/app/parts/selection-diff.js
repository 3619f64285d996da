// Two selections side by side: their figures, and the references that only one of them has.

import { get, ofCatalogue, withQuery } from "../api.js";
import { field, h, put, select } from "../dom.js";
import { counted, moment, number, percent, shortId } from "../format.js";
import { busyWith } from "../telling.js";
import { gallery } from "./gallery.js";

const FIGURES = [["accuracy", "Accuracy"], ["macro_f1", "Macro F1"], ["all_accuracy", "Accuracy of all references"]];

/** @param {string} catalogue @param {any[]} selections the newest first, two at least */
export function comparison(catalogue, selections) {
  const options = selections.map((one) => /** @type {[string, string]} */ ([one.id, nameOf(one)]));
  const first = select(options, options[1][0]);
  const second = select(options, options[0][0]);
  const submit = h("button", { type: "submit" }, "Compare");
  const shown = h("div", { class: "stack", "aria-live": "polite" });
  return h("section", { class: "stack" }, h("h2", {}, "Compare two"),
    h("form", { class: "row end", on: { submit: enter } }, field("First", first), field("Second", second), submit), shown);

  function enter(event) {
    event.preventDefault();
    busyWith(submit, async () => {
      const path = ofCatalogue(catalogue, "selections", first.value, "diff");
      const diff = await get(withQuery(path, { with: second.value }));
      put(shown, figuresTable(diff), ...settings(diff), ...references(catalogue, diff));
    });
  }
}

const nameOf = (one) => `${shortId(one.id)} · ${moment(one.created_at)} · ${counted(one.references, "reference")}`;

function figuresTable({ this: first, other: second }) {
  const heads = ["Figure", `First ${shortId(first.id)}`, `Second ${shortId(second.id)}`, "Difference"];
  const gained = signed(second.references - first.references, 0);
  const rows = FIGURES.map(([key, name]) => line(name, percent(first[key]), percent(second[key]), points(first[key], second[key])));
  return h("table", { class: "plain" }, h("caption", { class: "unseen" }, "Figures of both"),
    h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, line("References", number(first.references), number(second.references), gained), ...rows));
}

const line = (name, ...values) => h("tr", {}, h("th", { scope: "row" }, name), ...values.map((value) => h("td", {}, value)));

const points = (one, other) => (one === null || other === null ? "–" : `${signed(100 * (other - one), 1)} points`);

const signed = (value, digits) => `${value > 0 ? "+" : ""}${value.toFixed(digits)}`;

/** What they were chosen by, where that differs. */
function settings({ recipe }) {
  const rows = Object.entries(recipe).filter(([, { this: one, other }]) => isPlain(one) && isPlain(other));
  if (!rows.length) return [];
  const body = rows.map(([name, { this: one, other }]) => line(name.replaceAll("_", " "), plain(one), plain(other)));
  return [h("details", {}, h("summary", {}, "Settings that differ"), h("table", { class: "plain" },
    h("thead", {}, h("tr", {}, ...["Setting", "First", "Second"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...body)))];
}

const isPlain = (value) => value === null || typeof value !== "object";
const plain = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value ?? "–"));

function references(catalogue, diff) {
  if (!diff.references.length) return [h("p", { class: "empty" }, "Both have the same references.")];
  const sides = [["Only in the first", "only_this"], ["Only in the second", "only_other"]];
  return sides.flatMap(([title, side]) => {
    const total = diff.references.reduce((sum, one) => sum + one[side].count, 0);
    const shown = diff.references.flatMap((one) => one[side].examples.map((link) => ({ id: lastStep(link), label: one.label })));
    return [h("h3", {}, `${title}: ${counted(total, "reference")}`), shown.length ? gallery(catalogue, shown, { named: title }) : null];
  });
}

const lastStep = (link) => decodeURIComponent(link.slice(link.lastIndexOf("/") + 1));
