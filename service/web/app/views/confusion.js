// Which classes are taken for which: the worst mix-ups as a list, all of them as a matrix, and the pictures of each.

import { get, ofCatalogue, withQuery } from "../api.js";
import { add, button, h, put } from "../dom.js";
import { counted, number, percent, sentence, shortId } from "../format.js";
import { linkTo } from "../router.js";
import { busyWith } from "../telling.js";
import { changedNotice } from "../parts/changed-notice.js";
import { gallery } from "../parts/gallery.js";

const WORST = 8;
const PICTURES = 100;

/** @typedef {{truth: string, predicted: string, count: number, share: number}} Cell */

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showConfusion(view, { catalogue, query, signal }) {
  put(view, h("h1", {}, "Confusion"));
  const about = await get(ofCatalogue(catalogue), signal);
  const selection = query.get("selection") ?? about.active_selection;
  if (!selection) {
    add(view, empty(catalogue, "There is nothing to show before references were chosen: that is when answers are judged.", "selections", "Choose the references"));
    return;
  }
  const confusion = await get(ofCatalogue(catalogue, "selections", selection, "confusion"), signal);
  const rows = confusion.labels.map((label, at) => ({ label, counts: confusion.matrix[at], total: sum(confusion.matrix[at]) }));
  const pictures = h("section", { class: "stack", "aria-live": "polite" });
  const open = confusion.pictures
    ? (control, cell) => busyWith(control, () => show(pictures, catalogue, selection, cell, signal)) : null;
  add(view, 
    h("p", { class: "lead" }, `What selection ${shortId(selection)} answered to ${counted(confusion.images, "picture")} (measured on ${confusion.measured_on}). Choose a number to see the pictures.`),
    selection === about.active_selection ? changedNotice(about) : null,
    confusion.note ? h("p", { class: "notice" }, sentence(confusion.note)) : null,
    worst(confusion.labels, rows, open), pictures, matrix(confusion.labels, rows, open));
}

const sum = (counts) => counts.reduce((one, other) => one + other, 0);

function empty(catalogue, text, place, action) {
  return h("div", { class: "empty stack" }, h("p", {}, text), h("p", {}, h("a", { class: "button primary", href: linkTo(catalogue, place) }, action)));
}

function worst(labels, rows, open) {
  const cells = rows.flatMap((row) => row.counts.map((count, at) => cellOf(row, labels[at], count)));
  const wrong = cells.filter((cell) => cell.count && cell.truth !== cell.predicted).sort((one, other) => other.count - one.count || other.share - one.share);
  if (!wrong.length) return h("p", { class: "empty" }, "No picture that judged was answered with another label.");
  const items = wrong.slice(0, WORST).map((cell) => {
    const choose = open ? button("", () => open(choose, cell), { class: "mixup" }) : h("p", { class: "mixup" });
    choose.append(h("strong", {}, cell.truth), h("span", {}, " taken for "), h("strong", {}, cell.predicted),
      h("span", { class: "hint" }, `${counted(cell.count, "picture")}, ${percent(cell.share, 0)} of ${cell.truth}`));
    return h("li", {}, choose);
  });
  return h("section", { class: "stack" }, h("h2", {}, "Most often mixed up"), h("ol", { class: "mixups" }, ...items));
}

/** @returns {Cell} */
function cellOf(row, predicted, count) {
  return { truth: row.label, predicted, count, share: row.total ? count / row.total : 0 };
}

function matrix(labels, rows, open) {
  const heads = labels.map((label) => h("th", { scope: "col", title: label }, h("span", {}, label)));
  const body = rows.map((row) => h("tr", {}, h("th", { scope: "row", title: row.label }, row.label),
    ...row.counts.map((count, at) => matrixCell(cellOf(row, labels[at], count), open))));
  return h("section", { class: "stack" }, h("h2", {}, "All labels"),
    h("div", { class: "matrix-frame", tabindex: 0, role: "region", "aria-label": "Confusion matrix" },
      h("table", { class: "matrix" }, h("caption", { class: "unseen" }, "Pictures by true label and answer"),
        h("thead", {}, h("tr", {}, h("td", { class: "corner" }, "true ↓ answer →"), ...heads)), h("tbody", {}, ...body))));
}

function matrixCell(cell, open) {
  if (!cell.count) return h("td", { class: "zero" }, "·");
  const right = cell.truth === cell.predicted;
  const said = `${counted(cell.count, "picture")} of ${cell.truth} answered ${cell.predicted}`;
  const choose = open ? button(number(cell.count), () => open(choose, cell), { "aria-label": said, title: said }) : number(cell.count);
  const shown = h("td", { class: right ? "right" : "wrong" }, choose);
  shown.style.setProperty("--share", String(cell.share));
  return shown;
}

async function show(place, catalogue, selection, cell, signal) {
  const path = ofCatalogue(catalogue, "selections", selection, "confusion", "pictures");
  const found = await get(withQuery(path, { label: cell.truth, predicted: cell.predicted, limit: PICTURES }), signal);
  const title = cell.truth === cell.predicted ? `${cell.truth}, answered right` : `${cell.truth}, taken for ${cell.predicted}`;
  const heading = h("h2", { tabindex: "-1" }, title);
  const few = found.items.length < cell.count ? h("p", { class: "hint" }, `${found.items.length} of ${cell.count} can be shown: the others have gone, or have another label by now.`) : null;
  put(place, heading, few, found.items.length ? gallery(catalogue, found.items, { named: title }) : null);
  heading.focus();
}
