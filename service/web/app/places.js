// The places of a catalogue, in the order in which people come to need them.

import { showAdd } from "./views/add.js";
import { showClassify } from "./views/classify.js";
import { showConfusion } from "./views/confusion.js";
import { showHygiene } from "./views/hygiene.js";
import { showMap } from "./views/map.js";
import { showOverview } from "./views/overview.js";
import { showSearch } from "./views/search.js";
import { showSelections } from "./views/selections.js";

/**
 * @typedef {{catalogue: string, query: URLSearchParams, signal: AbortSignal,
 *   onLeave: (finish: () => Promise<void>) => void}} Visit `signal` ends with it; `finish` is waited for
 */
/** @typedef {{name: string, title: string, show: (view: HTMLElement, visit: Visit) => Promise<void> | void}} Place */

/** @type {Place[]} */
export const PLACES = [
  { name: "overview", title: "Overview", show: showOverview },
  { name: "add", title: "Add pictures", show: showAdd },
  { name: "classify", title: "Classify", show: showClassify },
  { name: "search", title: "Search", show: showSearch },
  { name: "selections", title: "Selections", show: showSelections },
  { name: "map", title: "Map", show: showMap },
  { name: "confusion", title: "Confusion", show: showConfusion },
  { name: "review", title: "Review", show: showHygiene },
];
