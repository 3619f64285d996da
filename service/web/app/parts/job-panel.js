// A job as it goes on: what it is at, how far, how fast, what failed and why, and the buttons that hold it up.

import { get, post, withQuery } from "../api.js";
import { button, h, put } from "../dom.js";
import { counted, duration, number, sentence } from "../format.js";
import { mayWrite } from "../session.js";
import { announce, busyWith } from "../telling.js";
import { followJob, isFinal } from "./job-feed.js";

const KINDS = { ingest: "Adding pictures", optimise: "Choosing references", classify: "Classifying in bulk", finetune: "Fine-tuning the encoder" };
const STATES = {
  opening: "receiving pictures", queued: "waiting for a worker", running: "at work", paused: "paused",
  done: "done", failed: "failed", cancelled: "cancelled",
};
const COUNTED = {
  stored: "stored", duplicate: "already there", conflict: "in conflict", answered: "answered", failed: "failed",
  skipped: "dropped before, passed over",
  cancelled: "cancelled", pending: "to do",
};
const SHOWN_FAILURES = 50;

/**
 * @param {any} job
 * @param {{signal: AbortSignal, onEnd?: (job: any) => void}} options
 * @returns {HTMLElement}
 */
export function jobPanel(job, { signal, onEnd }) {
  const bar = h("progress", { max: 1, "aria-label": "Progress" });
  const line = h("p", { class: "job-line" });
  const figures = h("dl", { class: "figures" });
  const controls = h("div", { class: "row" });
  const failures = h("div");
  const said = h("p", { class: "job-result" });
  const panel = h("section", { class: "card stack job", "aria-label": KINDS[job.kind] ?? job.kind },
    h("h2", {}, KINDS[job.kind] ?? job.kind), bar, line, figures, said, controls, failures);
  let state = "";
  let failed = 0;

  const draw = (now) => {
    panel.dataset.state = now.state;
    drawBar(bar, now);
    put(line, lineOf(now));
    put(figures, ...Object.entries(COUNTED).flatMap(([key, text]) => figure(text, now.counts?.[key])));
    put(said, sentence(now.error ?? now.result?.why ?? ""));
    const mood = now.stage === "cancelling" && !isFinal(now) ? "cancelling" : now.state;
    if (mood !== state) {
      state = mood;
      put(controls, ...controlsOf(now, draw, (again) => panel.replaceWith(jobPanel(again, { signal, onEnd }))));
      announce(`${KINDS[now.kind] ?? now.kind}: ${STATES[mood] ?? mood}`);
    }
    if ((now.counts?.failed ?? 0) !== failed) {
      failed = now.counts.failed;
      showFailures(failures, now, signal);
    }
    if (isFinal(now)) onEnd?.(now);
  };
  if (isFinal(job)) draw(job);
  else {
    draw(job);
    followJob(job.id, signal, draw);
  }
  return panel;
}

function drawBar(bar, job) {
  if (job.total > 0) {
    bar.max = job.total;
    bar.value = isFinal(job) && job.state === "done" ? job.total : job.done;
  } else if (isFinal(job)) {
    bar.value = 1;
  } else {
    bar.removeAttribute("value");
  }
}

function lineOf(job) {
  const parts = [STATES[job.state] ?? job.state];
  if (!isFinal(job) && job.stage) parts.push(job.stage);
  if (job.total > 0 && (job.kind !== "optimise" || !isFinal(job))) parts.push(`${number(job.done)} of ${number(job.total)}`);
  if (job.images_per_s) parts.push(`${number(Math.round(10 * job.images_per_s) / 10)} images/s`);
  if (!isFinal(job) && job.eta_s) parts.push(`about ${duration(job.eta_s)} to go`);
  if (isFinal(job) && job.started_at && job.finished_at) parts.push(`took ${duration(job.finished_at - job.started_at)}`);
  return parts.join(" · ");
}

function figure(text, count) {
  return count ? [h("div", {}, h("dt", {}, text), h("dd", {}, number(count)))] : [];
}

/** Trying again makes a new job of what failed: its panel takes the place of this one. */
function controlsOf(job, draw, replace) {
  if (!mayWrite() || (job.stage === "cancelling" && !isFinal(job))) return [];
  const acting = (text, verb, attributes = {}) => {
    const act = async () => (verb === "retry" ? replace : draw)(await post(`/v1/jobs/${job.id}:${verb}`));
    const made = button(text, () => busyWith(made, act), attributes);
    return made;
  };
  if (job.state === "paused") return [acting("Resume", "resume", { class: "primary" }), acting("Cancel", "cancel")];
  if (!isFinal(job)) return [acting("Pause", "pause"), acting("Cancel", "cancel")];
  return job.kind === "ingest" && job.counts?.failed ? [acting("Try the failed ones again", "retry")] : [];
}

async function showFailures(place, job, signal) {
  const path = withQuery(`/v1/jobs/${job.id}/items`, { state: "failed", limit: SHOWN_FAILURES });
  const page = await get(path, signal).catch(() => null);
  if (!page) return;
  const more = page.next_cursor ? h("p", { class: "hint" }, `The first ${SHOWN_FAILURES} are shown.`) : null;
  put(place,
    h("details", { open: true, class: "failures" },
      h("summary", {}, `${counted(job.counts.failed, "picture")} could not be used`),
      h("ul", {}, ...page.items.map((item) => h("li", {}, h("strong", {}, item.source), " ", sentence(item.reason ?? "")))),
      more));
}
