// The history as a table: the chart's points, why each came to be, and what can be done with it.

import { ofCatalogue } from "../api.js";
import { button, h } from "../dom.js";
import { moment, number, percent, shortId } from "../format.js";

const COLUMNS = ["Selection", "References", "Accuracy", "Chosen by", "Measured on", ""];

/**
 * @param {string} catalogue
 * @param {any[]} selections the newest first
 * @param {((id: string, control: HTMLElement) => void) | null} activate null where the key may not
 */
export function historyTable(catalogue, selections, activate) {
  const heads = COLUMNS.map((name) => h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Actions")));
  const rows = selections.map((one) => row(catalogue, one, activate));
  return h("table", { class: "history-table" }, h("caption", { class: "unseen" }, "All selections, the newest first"),
    h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
}

function row(catalogue, one, activate) {
  const report = h("a", { class: "button", href: ofCatalogue(catalogue, "selections", one.selection, "report"), target: "_blank", rel: "noopener" },
    "Report", h("span", { class: "unseen" }, ` of ${shortId(one.selection)}`));
  const serve = one.activated || !activate || one.state === "failed" ? null
    : button("Activate", () => activate(one.selection, serve), { "aria-label": `Activate ${shortId(one.selection)}` });
  return h("tr", { id: `selection-${one.selection}`, tabindex: -1, class: one.activated ? "active" : null },
    h("th", { scope: "row" }, h("code", { title: one.selection }, shortId(one.selection)), " ", badge(one),
      h("div", { class: "hint" }, moment(one.created_at))),
    cell("References", number(one.references)),
    cell("Accuracy", accuracy(one.figures)),
    cell("Chosen by", `${one.strategy}, head ${one.head}`),
    cell("Measured on", one.measured_on),
    h("td", { class: "actions" }, h("div", { class: "row" }, serve, report),
      h("details", {}, h("summary", {}, "Why"), h("p", { class: "why" }, one.why))));
}

/** A narrow screen shows the column's name beside each value. */
const cell = (name, ...content) => h("td", { "data-name": name }, ...content);

function badge(one) {
  if (one.activated) return h("span", { class: "badge good" }, "serves");
  return one.state === "failed" ? h("span", { class: "badge bad" }, "failed") : null;
}

function accuracy(figures) {
  if (typeof figures.accuracy !== "number") return "not measured";
  const [low, high] = figures.interval ?? [null, null];
  return [percent(figures.accuracy), low === null ? null : h("div", { class: "hint" }, `${percent(low)} to ${percent(high)}`)];
}
