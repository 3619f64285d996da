// The history as a table: the chart's points, why each came to be, and what can be done with it.

import { ofCatalogue } from "../api.js";
import { button, h } from "../dom.js";
import { linkTo } from "../router.js";
import { counted, moment, number, percent, sentence, shortId } from "../format.js";

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
  const report = h("a", { class: "button", href: ofCatalogue(catalogue, "selections", one.id, "report"), target: "_blank", rel: "noopener" },
    "Report", h("span", { class: "unseen" }, ` of ${shortId(one.id)}`));
  const confusion = h("a", { href: linkTo(catalogue, "confusion", { selection: one.id }) }, "Its confusion matrix");
  const serve = one.active || !activate || one.state === "failed" ? null
    : button("Activate", () => activate(one.id, serve), { "aria-label": `Activate ${shortId(one.id)}` });
  return h("tr", { id: `selection-${one.id}`, tabindex: -1, class: one.active ? "active" : null },
    h("th", { scope: "row" }, h("code", { title: one.id }, shortId(one.id)), " ", badge(one),
      h("div", { class: "hint" }, moment(one.created_at))),
    cell("References", number(one.references)),
    cell("Accuracy", accuracy(one)),
    cell("Chosen by", `${one.strategy}, head ${one.head}`),
    cell("Measured on", measured(one)),
    h("td", { class: "actions" }, h("div", { class: "row" }, serve, report),
      h("details", {}, h("summary", {}, "Why"), h("p", { class: "why" }, sentence(one.why)), confusion)));
}

/** A narrow screen shows the column's name beside each value. */
const cell = (name, ...content) => h("td", { "data-name": name }, ...content);

const measured = (one) => (one.images ? `${counted(one.images, "picture")}, ${one.measured_on}` : one.measured_on);

function badge(one) {
  if (one.active) return h("span", { class: "badge good" }, "serves");
  return one.state === "failed" ? h("span", { class: "badge bad" }, "failed") : null;
}

function accuracy(one) {
  if (one.accuracy === null) return "not measured";
  const within = one.interval && h("div", { class: "hint" }, `${percent(one.interval[0])} to ${percent(one.interval[1])}`);
  return [percent(one.accuracy), within];
}
