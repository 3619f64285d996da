// What stands around every place: the masthead, and the list of a catalogue's places.

import { button, h, put } from "./dom.js";
import { PLACES } from "./places.js";
import { linkTo } from "./router.js";
import { mayWrite, signOut, whoIs } from "./session.js";
import { busyWith } from "./telling.js";

/** @type {HTMLElement | undefined} made once: its picture need not be asked for at every place */
let brand;

/** @param {import("./router.js").Route} route */
export function drawMasthead(route) {
  const me = whoIs();
  const masthead = /** @type {HTMLElement} */ (document.getElementById("masthead"));
  brand ??= h("a", { class: "brand", href: linkTo(null), "aria-label": "Holotype" }, h("img", { src: "/web/icon.svg", alt: "" }), h("span", {}, "Holotype"));
  if (!me) {
    put(masthead, brand);
    return;
  }
  const where = route.catalogue === null ? null : trail(route.catalogue);
  const leave = button("Sign out", () => busyWith(leave, signOut), { class: "quiet" });
  const rights = mayWrite() ? "" : " · may look, not change";
  put(masthead, brand, where, h("span", { class: "who" }, `${me.tenant}${rights}`), leave);
}

/** @param {import("./router.js").Route} route */
export function drawPlaces(route) {
  const places = /** @type {HTMLElement} */ (document.getElementById("places"));
  const { catalogue } = route;
  places.hidden = catalogue === null || !whoIs();
  if (catalogue === null) {
    put(places);
    return;
  }
  put(places, h("ul", {}, ...PLACES.map((place) => entry(place, catalogue, route.place))));
}

function trail(catalogue) {
  const all = h("a", { href: linkTo(null) }, "Catalogues");
  return h("span", { class: "trail" }, all, h("span", { "aria-hidden": "true" }, " / "), h("strong", {}, catalogue));
}

function entry(place, catalogue, current) {
  const here = place.name === current;
  return h("li", {}, h("a", { href: linkTo(catalogue, place.name), "aria-current": here ? "page" : null }, place.title));
}
