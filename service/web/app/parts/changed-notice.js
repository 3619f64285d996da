// What came or was relabelled since the selection that serves was measured: its references and figures know nothing of it.

import { h } from "../dom.js";
import { counted, moment, number } from "../format.js";
import { linkTo } from "../router.js";

const MOST_LABELS = 6;

/**
 * @param {any} about the catalogue
 * @param {boolean} [linked] is the place elsewhere where references are chosen?
 * @returns {HTMLElement | null} null where nothing came or was relabelled
 */
export function changedNotice(about, linked = true) {
  const { changed } = about;
  if (!changed) return null;
  const since = moment(changed.since);
  const told = [
    added(changed, since),
    changed.relabelled ? `${counted(changed.relabelled, "picture was", "pictures were")} relabelled since ${since}: ${moves("to", changed.into)}; ${moves("from", changed.out_of)}.` : "",
    "References and figures of the selection that serves are of before.",
  ].filter(Boolean).join(" ");
  return h("p", { class: "notice" }, told, linked ? [" ", h("a", { href: linkTo(about.name, "selections") }, "Choose the references anew")] : null);
}

function added({ added: counts, new_classes: fresh }, since) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (!total) return "";
  const classes = fresh.length ? `, ${counted(fresh.length, "class", "classes")} of them new` : "";
  return `${counted(total, "picture was", "pictures were")} added since ${since}${classes}: ${moves("of", counts)}.`;
}

/** The labels with the most pictures first. */
function moves(word, counts) {
  const rows = Object.entries(counts).sort(([, one], [, other]) => other - one);
  const told = rows.slice(0, MOST_LABELS).map(([label, count]) => `${number(count)} ${word} ${label}`).join(", ");
  return rows.length > MOST_LABELS ? `${told} and ${counted(rows.length - MOST_LABELS, "more label")}` : told;
}
