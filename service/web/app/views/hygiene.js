// Hygiene: what may be wrong with a catalogue, one finding after the other, decided with the keyboard.

import { get, ofCatalogue, withQuery } from "../api.js";
import { add, button, field, h, put, select } from "../dom.js";
import { counted, moment, number } from "../format.js";
import { busyWith, complain } from "../telling.js";
import { KINDS } from "../parts/finding-card.js";
import { nothingYet } from "../parts/nothing-yet.js";
import { ReviewQueue } from "../parts/review-queue.js";

const MOST = 500;

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showHygiene(view, { catalogue, signal, onLeave }) {
  const waiting = h("p", { class: "waiting", role: "status" }, "Looking at every picture …");
  put(view, h("h1", {}, "Review"), waiting);
  const path = ofCatalogue(catalogue, "hygiene");
  const [about, first] = await Promise.all([
    get(ofCatalogue(catalogue), signal), get(withQuery(path, { limit: MOST }), signal),
  ]).finally(() => waiting.remove());
  if (!first.examples) {
    add(view, nothingYet(catalogue, "There is nothing to review yet."));
    return;
  }
  const told = h("div", { class: "stack" });
  const kind = select(kindsOf(first), "");
  const place = h("div", { class: "stack" });
  const queue = new ReviewQueue(place, { catalogue, labels: Object.keys(about.labels), signal });
  onLeave(() => queue.flush());
  kind.addEventListener("change", () => load({}).catch(complain));
  add(view, told, field("Show", kind), place);
  draw(first);

  async function load(more) {
    await queue.flush();
    draw(await get(withQuery(path, { limit: MOST, kind: kind.value, ...more }), signal));
  }

  function draw(report) {
    put(told, summary(report), report.changed ? changed() : null, unreadable(report));
    queue.show(report.findings);
  }

  function changed() {
    const anew = button("Look again", () => busyWith(anew, () => load({ renew: true })));
    return h("p", { class: "notice row spread" }, "Pictures came, went or changed since.", anew);
  }
}

function summary(report) {
  const shown = report.findings.length < report.total ? ` The first ${number(report.findings.length)} of ${number(report.total)} are shown.` : "";
  const kept = report.accepted ? ` ${counted(report.accepted, "more was", "more were")} kept before.` : "";
  return h("p", { class: "lead" },
    `${counted(report.examples, "picture")} looked at on ${moment(report.made_at)}: ${counted(report.total, "finding")}, the strongest evidence first.${kept}${shown}`);
}

function kindsOf(report) {
  const kinds = Object.entries(report.counts).filter(([, count]) => count);
  const all = /** @type {[string, string]} */ (["", `All (${number(report.total)})`]);
  return [all, ...kinds.map(([kind, count]) => /** @type {[string, string]} */ ([kind, `${KINDS[kind] ?? kind} (${number(count)})`]))];
}

function unreadable(report) {
  if (!report.unreadable.length) return null;
  return h("p", { class: "notice" }, `${counted(report.unreadable.length, "stored picture")} cannot be read any more.`);
}
