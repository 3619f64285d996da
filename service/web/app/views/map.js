// The map of a catalogue: every picture where its embedding lies, the references ringed.

import { get, ofCatalogue } from "../api.js";
import { add, button, h, put } from "../dom.js";
import { counted, number } from "../format.js";
import { showExample } from "../parts/example-dialog.js";
import { thumbnail } from "../parts/gallery.js";
import { nothingYet } from "../parts/nothing-yet.js";
import { colourOf, isDark, onTheme } from "../parts/palette.js";
import { Scatter } from "../parts/scatter.js";

const REACH_PX = 14;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ZOOM = 1.4;

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showMap(view, { catalogue, signal }) {
  const waiting = h("p", { class: "waiting", role: "status" }, "Drawing the map …");
  put(view, h("h1", {}, "Map"), waiting);
  const map = await get(ofCatalogue(catalogue, "map"), signal).finally(() => waiting.remove());
  if (!map.places.length) {
    add(view, nothingYet(catalogue, "There is nothing to draw yet."));
    return;
  }
  const labels = [...new Set(map.places.map((point) => point.label))].sort((one, other) => one.localeCompare(other));
  const places = new Map(labels.map((label, at) => [label, at]));
  const colour = (label) => colourOf(places.get(label) ?? 0, isDark());
  const canvas = h("canvas", {
    class: "map", tabindex: 0, role: "application", "aria-roledescription": "map", "aria-describedby": "map-keys",
    "aria-label": `${counted(map.places.length, "picture")} of ${counted(labels.length, "label")}`,
  });
  const detail = h("aside", { class: "map-detail card", "aria-live": "polite", "aria-label": "The chosen picture" }, hint());
  const scatter = new Scatter(canvas, map.places, colour);
  const drawn = () => {
    canvas.classList.toggle("zoomed", scatter.zoom > 1);
    scatter.draw();
  };
  const legend = legendOf(labels, colour, map.places, scatter, drawn);
  add(view, about(map), h("div", { class: "map-frame" }, h("div", { class: "map-ground" }, canvas, zoomButtons(scatter, drawn)), detail), legend);

  const choose = (point) => {
    if (!point || point === scatter.chosen) return;
    scatter.chosen = point;
    put(detail, thumbnail(catalogue, point), h("strong", {}, point.label), h("span", { class: "hint" }, point.split),
      point.reference ? h("span", { class: "badge good" }, "reference") : null,
      button("Open", () => showExample(catalogue, point.id)));
    drawn();
  };
  const open = () => { if (scatter.chosen) showExample(catalogue, scatter.chosen.id); };
  byPointer(canvas, scatter, choose, open, drawn);
  byKeys(canvas, scatter, choose, open, drawn);
  const observer = new ResizeObserver(drawn);
  observer.observe(canvas);
  signal.addEventListener("abort", () => observer.disconnect());
  onTheme(signal, () => { drawn(); legend.replaceWith(legendOf(labels, colour, map.places, scatter, drawn)); });
}

const hint = () => h("p", { class: "hint" }, "Point at a picture, or press the arrow keys on the map, and it is shown here.");

function about(map) {
  const references = map.places.filter((point) => point.reference).length;
  const some = map.total > map.places.length ? `, a fair sample of ${number(map.total)}` : "";
  return h("p", { id: "map-keys", class: "lead" },
    `${counted(map.places.length, "picture")}${some}; ${counted(references, "reference")} (ringed). What lies together looks alike; far distances mean little. Arrow keys go from picture to picture, Enter opens one, + and − zoom, 0 shows all.`);
}

function zoomButtons(scatter, drawn) {
  const zoom = (text, label, act) => button(text, () => { act(); drawn(); }, { "aria-label": label, title: label });
  return h("div", { class: "zoom" }, zoom("+", "Zoom in", () => scatter.scaleBy(ZOOM)),
    zoom("−", "Zoom out", () => scatter.scaleBy(1 / ZOOM)), zoom("All", "All of the map", () => scatter.reset()));
}

function legendOf(labels, colour, points, scatter, drawn) {
  const counts = new Map();
  for (const point of points) counts.set(point.label, (counts.get(point.label) ?? 0) + 1);
  return h("section", { class: "stack" }, h("h2", {}, "Labels"), h("p", { class: "hint" }, "Untick a label to leave it out."),
    h("ul", { class: "legend" }, ...labels.map((label) => entry(label, colour(label), counts.get(label), scatter, drawn))));
}

function entry(label, colour, count, scatter, drawn) {
  const box = h("input", { type: "checkbox", on: { change: () => { scatter.hidden[box.checked ? "delete" : "add"](label); drawn(); } } });
  box.checked = !scatter.hidden.has(label);
  const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.setProperty("--swatch", colour);
  return h("li", {}, h("label", {}, box, swatch, h("span", {}, label), h("span", { class: "hint" }, number(count))));
}

function byPointer(canvas, scatter, choose, open, drawn) {
  let held = null;
  let moved = false;
  const under = (event) => scatter.nearest(event.offsetX, event.offsetY, REACH_PX);
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.offsetX, y: event.offsetY };
    moved = false;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return void choose(under(event));
    const [dx, dy] = [event.offsetX - held.x, event.offsetY - held.y];
    if (scatter.zoom === 1 || Math.hypot(dx, dy) < 3) return;
    moved = true;
    scatter.moveBy(dx, dy);
    held = { x: event.offsetX, y: event.offsetY };
    drawn();
  });
  canvas.addEventListener("pointerup", (event) => {
    held = null;
    const point = under(event);
    if (moved || !point) return;
    const again = point === scatter.chosen && event.pointerType === "mouse";
    choose(point);
    if (again) open();
  });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // a wheel alone scrolls the page
    event.preventDefault();
    scatter.scaleBy(event.deltaY < 0 ? 1.15 : 1 / 1.15, [event.offsetX, event.offsetY]);
    drawn();
  }, { passive: false });
}

function byKeys(canvas, scatter, choose, open, drawn) {
  const zooms = { "+": () => scatter.scaleBy(ZOOM), "=": () => scatter.scaleBy(ZOOM), "-": () => scatter.scaleBy(1 / ZOOM), 0: () => scatter.reset() };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) choose(scatter.next(arrow[0], arrow[1]));
    else if (event.key === "Enter") open();
    else if (zooms[event.key]) { zooms[event.key](); drawn(); }
    else return;
    event.preventDefault();
  });
}
