// Picking a catalogue, or making one.

import { everyRow, post } from "../api.js";
import { field, h, put } from "../dom.js";
import { counted } from "../format.js";
import { go, linkTo } from "../router.js";
import { mayWrite } from "../session.js";
import { busyWith, tell } from "../telling.js";

/**
 * @param {HTMLElement} view
 * @param {{signal: AbortSignal}} visit
 */
export async function showCatalogues(view, { signal }) {
  const list = h("div", { "aria-busy": "true" });
  put(view, h("h1", {}, "Catalogues"), list, mayWrite() ? newCatalogue() : null);
  const catalogues = await everyRow("/v1/catalogues?limit=100", signal);
  list.removeAttribute("aria-busy");
  put(list, catalogues.length ? h("ul", { class: "shelf" }, ...catalogues.map(volume)) : nothing());
}

function volume(catalogue) {
  const pictures = Object.values(catalogue.examples).reduce((sum, count) => sum + count, 0);
  const labels = Object.keys(catalogue.labels).length;
  return h("li", {},
    h("a", { class: "card volume", href: linkTo(catalogue.name) },
      h("strong", {}, catalogue.name),
      h("span", {}, pictures ? `${counted(pictures, "picture")}, ${counted(labels, "label")}` : "empty"),
      h("span", { class: "hint" }, state(catalogue))));
}

function state(catalogue) {
  return catalogue.active_selection ? `${counted(catalogue.references, "reference")} answer` : "not optimised yet";
}

const nothing = () =>
  h("p", { class: "empty" }, "There is no catalogue yet. Make one for each set of classes, then add labelled pictures to it.");

function newCatalogue() {
  const name = h("input", { name: "name", required: true, maxlength: 100, pattern: "[A-Za-z0-9_.\\-]+", autocomplete: "off" });
  const encoder = h("input", { name: "encoder", maxlength: 500, autocomplete: "off", placeholder: "the service’s default" });
  const submit = h("button", { type: "submit", class: "primary" }, "Make the catalogue");
  const more = h("details", {}, h("summary", {}, "Another encoder"),
    field("Encoder", encoder, "A hub id such as openai/clip-vit-base-patch32 (which also knows text), or packaged:vit-s14. It stays."));
  return h("form", { class: "card stack narrow", on: { submit: make } },
    h("h2", {}, "A new catalogue"), field("Name", name, "Letters, digits, “-”, “_” and “.”"), more, submit);

  function make(event) {
    event.preventDefault();
    busyWith(submit, async () => {
      const made = await post("/v1/catalogues", { name: name.value.trim(), encoder: encoder.value.trim() || null });
      tell(`Catalogue ${made.name} is made. Add labelled pictures to it.`);
      go(made.name, "add");
    });
  }
}
