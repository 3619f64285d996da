// Two selections side by side: their figures, and the references that only one of them has.

import { get, ofCatalogue, withQuery } from "../api.js";
import { field, h, put, select } from "../dom.js";
import { counted, moment, number, percent, shortId } from "../format.js";
import { busyWith } from "../telling.js";
import { gallery } from "./gallery.js";

const FIGURES = [["accuracy", "Accuracy"], ["macro_f1", "Macro F1"], ["top5", "Among the five best"]];

/** @param {string} catalogue @param {any[]} selections the newest first, two at least */
export function comparison(catalogue, selections) {
  const options = selections.map((one) => /** @type {[string, string]} */ ([one.selection, nameOf(one)]));
  const one = select(options, options[1][0]);
  const other = select(options, options[0][0]);
  const submit = h("button", { type: "submit" }, "Compare");
  const shown = h("div", { class: "stack", "aria-live": "polite" });
  return h("section", { class: "stack" }, h("h2", {}, "Compare two"),
    h("form", { class: "row end", on: { submit: enter } }, field("First", one), field("Second", other), submit), shown);

  function enter(event) {
    event.preventDefault();
    busyWith(submit, async () => {
      const path = withQuery(ofCatalogue(catalogue, "selections", one.value, "diff"), { with: other.value });
      const diff = await get(path);
      const chosen = [one.value, other.value].map((id) => selections.find((each) => each.selection === id));
      put(shown, figuresTable(chosen), ...differences(catalogue, diff));
    });
  }
}

const nameOf = (one) => `${shortId(one.selection)} · ${moment(one.created_at)} · ${counted(one.references, "reference")}`;

function figuresTable([one, other]) {
  const rows = FIGURES.map(([key, name]) => line(name, one.figures[key], other.figures[key]));
  const references = h("tr", {}, h("th", { scope: "row" }, "References"), h("td", {}, number(one.references)), h("td", {}, number(other.references)), h("td", {}, signed(other.references - one.references)));
  const heads = ["", `First ${shortId(one.selection)}`, `Second ${shortId(other.selection)}`, "Difference"];
  return h("table", { class: "plain" }, h("caption", { class: "unseen" }, "Figures of both"),
    h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text || h("span", { class: "unseen" }, "Figure"))))),
    h("tbody", {}, references, ...rows));
}

function line(name, one, other) {
  const both = typeof one === "number" && typeof other === "number";
  const points = both ? `${signed(100 * (other - one), 1)} points` : "–";
  return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, percent(one)), h("td", {}, percent(other)), h("td", {}, points));
}

const signed = (value, digits = 0) => `${value > 0 ? "+" : ""}${value.toFixed(digits)}`;

function differences(catalogue, diff) {
  return [["Only in the first", diff.removed], ["Only in the second", diff.added]].flatMap(([title, members]) => [
    h("h3", {}, `${title}: ${counted(members.length, "reference")}`),
    members.length ? gallery(catalogue, members, { named: title }) : null,
  ]);
}
