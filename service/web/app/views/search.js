// Searching the pictures of a catalogue, by a picture or by words.

import { get, methodOf, ofCatalogue, request } from "../api.js";
import { field, h, put, select } from "../dom.js";
import { counted } from "../format.js";
import { announce, problemBox } from "../telling.js";
import { dropzone, onPaste } from "../parts/dropzone.js";
import { gallery } from "../parts/gallery.js";
import { nothingYet } from "../parts/nothing-yet.js";
import { hintOf } from "../parts/words.js";
import { previewImage } from "../parts/preview-image.js";

const SPLITS = [["", "All"], ["support", "support (may become references)"], ["tuning", "tuning (chooses)"], ["holdout", "holdout (judges)"]];
const COUNTS = [["12", "12"], ["24", "24"], ["60", "60"]];

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showSearch(view, { catalogue, signal }) {
  const about = await get(ofCatalogue(catalogue), signal);
  const label = select([["", "All"], ...Object.keys(about.labels).sort().map((each) => /** @type {[string, string]} */ ([each, each]))]);
  const split = select(SPLITS);
  const top = select(COUNTS, "12");
  const words = h("input", { type: "search", name: "text", maxlength: 500, required: true, placeholder: "a ripe apple on a plate" });
  const submit = h("button", { type: "submit", class: "primary" }, "Search");
  const results = h("section", { class: "stack", "aria-label": "Results" });
  const asked = () => ({ top: Number(top.value), label: label.value || null, split: split.value || null });
  const byWords = h("form", { class: "stack", on: { submit: enter } }, field("Words", words, hintOf(about.encoder) || "Say what the pictures show."), h("div", {}, submit));
  const zone = dropzone({ title: "Drop a picture here", hint: "Shows what resembles it most.", multiple: false, onPictures: byPicture });
  onPaste(signal, byPicture);
  put(view, h("h1", {}, "Search"), h("div", { class: "halves" }, zone, byWords),
    h("div", { class: "row end" }, field("Label", label), field("Split", split), field("How many", top)), results);
  if (!Object.keys(about.labels).length) put(results, nothingYet(catalogue, "There is nothing to find yet."));

  function enter(event) {
    event.preventDefault();
    const text = words.value.trim();
    run(`what looks like “${text}”`, null, () => request("POST", methodOf(catalogue, "search"), { json: { text, ...known(asked()) }, signal }));
  }

  function byPicture(pictures) {
    if (!pictures.length) return;
    const form = new FormData();
    form.append("picture", pictures[0].file, pictures[0].path);
    for (const [name, value] of Object.entries(known(asked()))) form.append(name, String(value));
    run("what resembles", previewImage(pictures[0].file, "the picture asked with"), () => request("POST", methodOf(catalogue, "search"), { form, signal }));
  }

  async function run(title, picture, ask) {
    put(results, h("p", { class: "waiting", role: "status" }, "Searching …"));
    try {
      const { items } = await ask();
      const told = items.length ? `${counted(items.length, "picture")}, nearest first` : "Nothing was found";
      put(results, h("h2", { class: "asked-with" }, `Here is ${title}`, picture), h("p", { class: "hint" }, told),
        gallery(catalogue, items, { named: "Found" }));
      announce(told);
    } catch (error) {
      put(results, problemBox(error));
    }
  }
}

const known = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
