// One finding: the picture in question beside the evidence, and a sentence why.

import { get, ofCatalogue, withQuery } from "../api.js";
import { add, h } from "../dom.js";
import { fileName, sentence } from "../format.js";
import { thumbnail } from "./gallery.js";

export const KINDS = {
  conflict: "One picture under several labels",
  label: "Label in doubt",
  "cross-label": "Near-duplicates under different labels",
  leak: "Near-duplicates in different splits",
  duplicate: "Near-duplicates",
  outlier: "Far from its class",
  small: "Too small",
  blank: "Blank",
  thin: "Class of few pictures",
  alike: "Classes that look alike",
};

const EDGE_PX = 320;
const MOST_OTHERS = 8;
const OF_LIKELY = 3;

/** What may be decided about a finding: a conflict cannot be kept, and classes have no picture to decide about. */
export function decisionsOf(finding) {
  if (!finding.example) return [];
  return finding.kind === "conflict" ? ["relabel", "drop"] : ["keep", "relabel", "drop"];
}

/**
 * @param {string} catalogue
 * @param {any} finding
 * @param {(id: string) => boolean} isGone was this example dropped meanwhile?
 * @param {AbortSignal} signal of the place
 */
export function findingCard(catalogue, finding, isGone, signal) {
  const others = finding.others.filter((other) => !isGone(other.id)).slice(0, MOST_OTHERS);
  const asked = finding.example && !isGone(finding.example.id) ? finding.example : null;
  const evidence = h("div", { class: "evidence" },
    asked ? exhibit(catalogue, asked, "In question") : null,
    ...others.map((other) => exhibit(catalogue, other, finding.example ? "Evidence" : "Among them")));
  if (finding.kind === "label" && asked) showLikely(evidence, catalogue, finding, signal);
  return h("div", { class: "finding" },
    h("h2", {}, KINDS[finding.kind] ?? finding.kind), h("p", { class: "why" }, sentence(finding.why)), evidence);
}

/** To see whether the picture is one of them: a few of the label that it likely has. Without them it can be decided, too. */
async function showLikely(place, catalogue, finding, signal) {
  const path = withQuery(ofCatalogue(catalogue, "examples"), { label: likelyLabel(finding), limit: OF_LIKELY });
  const page = await get(path, signal).catch(() => null);
  if (page) add(place, ...page.items.map((one) => exhibit(catalogue, one, "To compare")));
}

function exhibit(catalogue, example, role) {
  const label = h("strong", {}, example.label);
  return h("figure", { class: role === "In question" ? "exhibit questioned" : "exhibit" }, thumbnail(catalogue, example, EDGE_PX),
    h("figcaption", {}, h("span", { class: "hint" }, role), label, h("span", { class: "hint" }, `${example.split} · ${fileName(example.source)}`)));
}

/** The label to offer: the likely one of a suspected label, else the first other one that the finding names. */
export function likelyLabel(finding) {
  return finding.labels.find((label) => label !== finding.example?.label) ?? finding.labels[0] ?? "";
}
