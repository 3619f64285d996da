// Hygiene: what may be wrong with a catalogue, one finding after the other, decided with the keyboard.

import { get, ofCatalogue } from "../api.js";
import { field, h, put, select } from "../dom.js";
import { counted, number } from "../format.js";
import { linkTo } from "../router.js";
import { ReviewQueue } from "../parts/review-queue.js";
import { KINDS } from "../parts/finding-card.js";

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showHygiene(view, { catalogue, signal }) {
  const waiting = h("p", { class: "waiting", role: "status" }, "Looking at every picture …");
  put(view, h("h1", {}, "Review"), waiting);
  const about = await get(ofCatalogue(catalogue), signal);
  if (!Object.keys(about.labels).length && !about.conflicts.length) {
    waiting.remove();
    view.append(h("p", { class: "empty" }, "There is nothing to review yet. ", h("a", { href: linkTo(catalogue, "add") }, "Add pictures"), " first."));
    return;
  }
  const report = await get(ofCatalogue(catalogue, "hygiene"), signal).finally(() => waiting.remove());
  const kind = select(kindsOf(report), "");
  const place = h("div", { class: "stack" });
  const queue = new ReviewQueue(place, { catalogue, labels: Object.keys(about.labels), signal });
  kind.addEventListener("change", () => queue.show(report.findings.filter((one) => !kind.value || one.kind === kind.value)));
  view.append(h("p", { class: "lead" }, summary(report)), field("Show", kind), place, unreadable(report));
  queue.show(report.findings);
}

function summary(report) {
  return `${counted(report.examples, "picture")} looked at: ${counted(report.findings.length, "finding")}, the strongest evidence first; ${number(report.accepted)} more were kept before.`;
}

function kindsOf(report) {
  const kinds = Object.entries(report.counts).filter(([, count]) => count);
  const all = /** @type {[string, string]} */ (["", `All (${report.findings.length})`]);
  return [all, ...kinds.map(([kind, count]) => /** @type {[string, string]} */ ([kind, `${KINDS[kind] ?? kind} (${count})`]))];
}

function unreadable(report) {
  if (!report.unreadable.length) return "";
  return h("p", { class: "notice" }, `${counted(report.unreadable.length, "stored picture")} cannot be read any more.`);
}
