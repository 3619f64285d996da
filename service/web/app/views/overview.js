// What a catalogue holds: its figures, its labels, and the pictures of each.

import { get, ofCatalogue, request, withQuery } from "../api.js";
import { button, h, put } from "../dom.js";
import { counted, number } from "../format.js";
import { go, linkTo } from "../router.js";
import { mayWrite } from "../session.js";
import { busyWith, complain, tell } from "../telling.js";
import { changedNotice } from "../parts/changed-notice.js";
import { classesOf } from "../parts/classes.js";
import { confirmed } from "../parts/dialog.js";
import { gallery } from "../parts/gallery.js";
import { wordsForm, wordsOf } from "../parts/words.js";

const PAGE = 60;

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showOverview(view, { catalogue, query, signal }) {
  put(view, h("h1", {}, catalogue));
  const { about, words, labels } = await classesOf(catalogue, signal);
  const pictures = h("section", { class: "stack", "aria-live": "polite" });
  const again = (label) => go(catalogue, "overview", label ? { label } : {});
  put(view, h("h1", {}, catalogue), figures(about, labels.length), nextStep(about, labels), conflicts(about), changedNotice(about),
    labels.length ? labelList(labels, about, words, open) : null, pictures,
    mayWrite() ? [wordsForm({ about, labels, onChange: again }), ending(catalogue)] : null);
  const asked = query.get("label");
  if (asked && labels.includes(asked)) await open(asked);

  async function open(label) {
    const heading = h("h2", { tabindex: "-1" }, label);
    const rows = h("div");
    const more = h("div", { class: "row" });
    const said = words.get(label);
    put(pictures, heading, said ? wordsOf(catalogue, said, again) : null, rows, more);
    try {
      await page(label, null, rows, more);
      heading.focus();
    } catch (error) {
      complain(error);
    }
  }

  async function page(label, cursor, rows, more) {
    const path = withQuery(ofCatalogue(catalogue, "examples"), { label, limit: PAGE, cursor });
    const found = await get(path, signal);
    if (found.items.length) rows.append(gallery(catalogue, found.items, { named: `Pictures of ${label}`, onChange: () => again(label) }));
    const load = button("Show more", () => busyWith(load, () => page(label, found.next_cursor, rows, more)));
    put(more, found.next_cursor ? load : null);
  }
}

function figures(about, labels) {
  const total = Object.values(about.examples).reduce((sum, count) => sum + count, 0);
  const rows = [
    ["pictures", number(total)], ["labels", number(labels)],
    ["references", number(about.references)], ["encoder", about.encoder],
  ];
  return h("dl", { class: "figures" }, ...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function nextStep(about, labels) {
  const link = (place, text) => h("a", { class: "button primary", href: linkTo(about.name, place) }, text);
  if (!labels.length) {
    return h("div", { class: "empty stack" }, h("p", {}, "It holds no picture yet. Five or more of each class are a good start."), h("p", {}, link("add", "Add pictures")));
  }
  if (!Object.keys(about.labels).length) {
    return h("div", { class: "empty stack" }, h("p", {}, "It holds no picture yet: words answer. Pictures of each class make answers surer."), h("p", { class: "row" }, link("classify", "Classify a picture"), link("add", "Add pictures")));
  }
  if (!about.active_selection) {
    return h("div", { class: "empty stack" }, h("p", {}, "Every picture answers so far. Let the best references be chosen: answers become surer, and get a confidence that is measured."), h("p", {}, link("selections", "Choose the references")));
  }
  return h("p", { class: "row" }, link("classify", "Classify a picture"));
}

function conflicts(about) {
  if (!about.conflicts.length) return null;
  const count = counted(about.conflicts.length, "picture was", "pictures were");
  return h("p", { class: "notice" }, `${count} handed over under several labels. `, h("a", { href: linkTo(about.name, "review") }, "Decide which is right"));
}

function labelList(labels, about, words, open) {
  const rows = labels.map((label) => {
    const row = button(label, () => open(label), { class: "label-row" });
    const told = [about.labels[label] ? number(about.labels[label]) : null, words.has(label) ? "words" : null];
    row.append(h("span", { class: "hint" }, told.filter(Boolean).join(" + ")));
    return h("li", {}, row);
  });
  return h("section", { class: "stack" }, h("h2", {}, "Labels"), h("ul", { class: "labels" }, ...rows));
}

function ending(catalogue) {
  const remove = button("Delete this catalogue", () => busyWith(remove, end), { class: "danger" });
  return h("details", { class: "ending" }, h("summary", {}, "Delete"), h("p", {}, "Pictures, labels, jobs and selections go for good."), remove);

  async function end() {
    if (!await confirmed(`Delete ${catalogue}?`, "Everything in it goes for good.", "Delete the catalogue")) return;
    await request("DELETE", ofCatalogue(catalogue));
    tell(`${catalogue} is deleted.`);
    go(null);
  }
}
