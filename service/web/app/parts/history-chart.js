// The history as a chart: accuracy against the number of references, one point a selection, its interval as a whisker.

import { s } from "../dom.js";
import { counted, number, percent, shortId } from "../format.js";

/** @typedef {{id: string, references: number, accuracy: number, low: number, high: number, active: boolean}} Point */

const HEIGHT = 300;
const LEFT = 56;
const RIGHT = 20;
const TOP = 16;
const BOTTOM = 46;
const STEPS = [1, 2, 5];

/**
 * @param {Point[]} points the oldest first
 * @param {number} width pixels: letters keep their size on a narrow screen
 * @param {(id: string) => void} onPick
 * @returns {SVGElement}
 */
export function historyChart(points, width, onPick) {
  const right = width - RIGHT;
  const x = scale(axis(points.map((one) => one.references), 0), LEFT, right);
  const y = scale(axis(points.flatMap((one) => [one.low, one.high]), null, 1), HEIGHT - BOTTOM, TOP);
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "group", "aria-label": "Accuracy against number of references" },
    gridX(x, right), gridY(y, right), path(points, x, y), ...points.map((point) => mark(point, x, y, onPick)));
}

/** Round numbers around the values: at most about six of them. */
function axis(values, from = null, most = Infinity) {
  const low = from ?? Math.min(...values);
  const high = Math.max(...values);
  const step = roundStep((high - low || Math.abs(high) || 1) / 5);
  const first = Math.floor(low / step) * step;
  const last = Math.min(most, Math.ceil(high / step) * step);
  const ticks = [];
  for (let at = 0; first + at * step <= last + step / 1e6; at += 1) ticks.push(first + at * step);
  if (ticks.length < 2) ticks.push(ticks[0] + step);
  return ticks;
}

function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = STEPS.find((each) => each * power >= rough) ?? 10;
  return factor * power;
}

function scale(ticks, start, end) {
  const low = ticks[0];
  const high = ticks[ticks.length - 1];
  return { ticks, at: (value) => start + ((value - low) / (high - low)) * (end - start) };
}

function gridX(x, right) {
  const ticks = x.ticks.map((tick) => s("text", { x: x.at(tick), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, number(Number(tick.toFixed(6)))));
  const name = s("text", { class: "axis", x: (LEFT + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "references");
  return s("g", { "aria-hidden": "true" }, ...ticks, name);
}

function gridY(y, right) {
  const lines = y.ticks.map((tick) => s("g", {},
    s("line", { class: "grid", x1: LEFT, x2: right, y1: y.at(tick), y2: y.at(tick) }),
    s("text", { x: LEFT - 8, y: y.at(tick) + 4, "text-anchor": "end" }, percent(tick, digitsOf(y.ticks)))));
  return s("g", { "aria-hidden": "true" }, ...lines);
}

const digitsOf = (ticks) => (ticks[1] - ticks[0] < 0.01 ? 1 : 0);

function path(points, x, y) {
  const line = points.map((one) => `${x.at(one.references)},${y.at(one.accuracy)}`).join(" ");
  return s("polyline", { class: "history", points: line, "aria-hidden": "true" });
}

function mark(point, x, y, onPick) {
  const at = { x: x.at(point.references), y: y.at(point.accuracy) };
  const told = `${shortId(point.id)}: ${percent(point.accuracy)} with ${counted(point.references, "reference")}${point.active ? ", serves now" : ""}`;
  const pick = () => onPick(point.id);
  const keyed = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    pick();
  };
  return s("g", { class: point.active ? "mark active" : "mark", tabindex: 0, role: "button", "aria-label": told, on: { click: pick, keydown: keyed } },
    s("title", {}, told),
    s("line", { class: "whisker", x1: at.x, x2: at.x, y1: y.at(point.low), y2: y.at(point.high) }),
    s("circle", { cx: at.x, cy: at.y, r: point.active ? 8 : 6 }));
}
