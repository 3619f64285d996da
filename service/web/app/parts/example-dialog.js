// One example: its picture, what is known of it, another label for it, or its end.

import { get, ofCatalogue, request, thumbnailOf } from "../api.js";
import { button, h, put } from "../dom.js";
import { moment } from "../format.js";
import { mayWrite } from "../session.js";
import { busyWith, problemBox, tell } from "../telling.js";
import { confirmed, openDialog } from "./dialog.js";
import { labelField } from "./label-field.js";
import { withoutPicture } from "./no-picture.js";

const EDGE_PX = 512;

/**
 * @param {string} catalogue
 * @param {string} id
 * @param {() => void} [onChange]
 */
export async function showExample(catalogue, id, onChange) {
  const body = h("div", { class: "example stack", "aria-busy": "true" });
  const { close } = openDialog("Example", body);
  try {
    const [example, about] = await Promise.all([
      get(ofCatalogue(catalogue, "examples", id)), get(ofCatalogue(catalogue)),
    ]);
    body.removeAttribute("aria-busy");
    put(body, ...parts(catalogue, example, Object.keys(about.labels), () => { close(); onChange?.(); }));
  } catch (error) {
    put(body, problemBox(error));
  }
}

function parts(catalogue, example, labels, changed) {
  const picture = h("img", {
    class: "large", src: thumbnailOf(catalogue, example.id, EDGE_PX), alt: `${example.label}: ${example.source}`, on: { error: withoutPicture },
  });
  return [picture, facts(catalogue, example), ...(mayWrite() ? changes(catalogue, example, labels, changed) : [])];
}

function facts(catalogue, example) {
  const original = h("a", { href: ofCatalogue(catalogue, "examples", example.id, "image"), target: "_blank", rel: "noopener" }, "Open the original");
  const rows = [
    ["Label", example.label], ["Split", example.split], ["Source", example.source],
    ["Size", `${example.width_px} × ${example.height_px} pixels`], ["Added", moment(example.created_at)],
    ...Object.entries(example.metadata ?? {}),
  ];
  return h("div", {}, h("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])), original);
}

function changes(catalogue, example, labels, changed) {
  const { element, input } = labelField("Another label", labels, { value: example.label, required: true });
  const path = ofCatalogue(catalogue, "examples", example.id);
  const save = h("button", { type: "submit" }, "Relabel");
  const drop = button("Delete", () => busyWith(drop, remove), { class: "danger" });
  return [h("form", { class: "row end", on: { submit: relabel } }, element, save, drop)];

  function relabel(event) {
    event.preventDefault();
    busyWith(save, async () => {
      const now = await request("PATCH", path, { json: { label: input.value.trim() } });
      tell(`It is ${now.label} now.`);
      changed();
    });
  }

  async function remove() {
    const sure = await confirmed("Delete this picture?", "The picture, its embedding and its place in selections go for good.", "Delete it");
    if (!sure) return;
    await request("DELETE", path);
    tell("The picture is deleted.");
    changed();
  }
}
