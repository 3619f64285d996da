// Selections: choose references anew, see the history, compare two, activate one, go back.

import { everyRow, get, ofCatalogue, post, withQuery } from "../api.js";
import { button, h, put } from "../dom.js";
import { counted, shortId } from "../format.js";
import { mayWrite } from "../session.js";
import { busyWith, tell } from "../telling.js";
import { changedNotice } from "../parts/changed-notice.js";
import { historyChart } from "../parts/history-chart.js";
import { isFinal } from "../parts/job-feed.js";
import { jobPanel } from "../parts/job-panel.js";
import { optimiseForm } from "../parts/optimise-form.js";
import { comparison } from "../parts/selection-diff.js";
import { historyTable } from "../parts/selection-table.js";

/** Of the chart, pixels; the frame is what its card takes. */
const [NARROWEST, WIDEST, FRAME] = [280, 900, 48];

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showSelections(view, { catalogue, signal }) {
  const jobs = h("div", { class: "stack" });
  const history = h("div", { class: "stack" });
  const form = optimiseForm(catalogue, (job) => jobs.prepend(panelOf(job)));
  put(view, h("h1", {}, "Selections"),
    h("p", { class: "lead" }, "A selection is the set of references that answer. Each is kept, with what was measured of it."),
    mayWrite() ? form : null, jobs, history);
  const recent = await get(withQuery("/v1/jobs", { catalogue, kind: "optimise", limit: 3 }), signal);
  for (const job of recent.items.filter((each) => !isFinal(each))) jobs.append(panelOf(job));
  await draw();

  function panelOf(job) {
    return jobPanel(job, { signal, onEnd: () => draw().catch(() => {}) });
  }

  async function draw() {
    const [about, selections] = await Promise.all([
      get(ofCatalogue(catalogue), signal),
      everyRow(withQuery(ofCatalogue(catalogue, "selections"), { limit: 100 }), signal, 500),
    ]);
    if (!selections.length) {
      put(history, h("p", { class: "empty" }, "There is no selection yet. With a few labelled pictures of each class, choose the references above."));
      return;
    }
    put(history, changedNotice(about, false), h("h2", {}, "History"), chartOf(selections, view.clientWidth), mayWrite() ? back(selections) : null,
      historyTable(catalogue, selections, mayWrite() ? activate : null),
      selections.length > 1 ? comparison(catalogue, selections) : null);
  }

  function back(selections) {
    if (selections.length < 2) return null;
    const go = button("Go back to the one before", () => busyWith(go, async () => changed(await post(`${ofCatalogue(catalogue, "selections")}:rollback`))));
    return h("p", {}, go);
  }

  function activate(selection, control) {
    return busyWith(control, async () => changed(await post(`${ofCatalogue(catalogue, "selections", selection)}:activate`)));
  }

  async function changed(now) {
    tell(`${counted(now.references, "reference")} of selection ${shortId(now.id)} answer now.`);
    await draw();
  }
}

function chartOf(selections, room) {
  const points = selections.filter((one) => one.accuracy !== null).map(pointOf).reverse();
  if (!points.length) return h("p", { class: "hint" }, "Nothing was measured of them yet: one picture a class cannot judge.");
  const pick = (id) => {
    const row = /** @type {HTMLElement | null} */ (document.getElementById(`selection-${id}`));
    row?.focus();
    row?.scrollIntoView({ block: "center" });
  };
  return h("figure", { class: "card" }, historyChart(points, Math.min(WIDEST, Math.max(NARROWEST, room - FRAME)), pick),
    h("figcaption", { class: "hint" }, "Accuracy on pictures that chose nothing, with its 95 % interval, against the number of references. The line follows time; the filled point serves. The table below says the same."));
}

function pointOf(one) {
  const [low, high] = one.interval ?? [one.accuracy, one.accuracy];
  return { id: one.id, references: one.references, accuracy: one.accuracy, low, high, active: one.active };
}
