// Starts the page: signs in, then shows the place that the address names.

import { Problem, SIGNED_OUT } from "./api.js";
import { add, button, h, put } from "./dom.js";
import { drawMasthead, drawPlaces } from "./frame.js";
import { PLACES } from "./places.js";
import { routeOf } from "./router.js";
import { forget, resume, whoIs } from "./session.js";
import { isAbort, problemBox } from "./telling.js";
import { showCatalogues } from "./views/catalogues.js";
import { showSignIn } from "./views/sign-in.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));

/** Breaks off what the place before was doing. */
let leaving = new AbortController();
/** @type {Array<() => Promise<void>>} what the place before has to finish, so that the next one sees it */
let unfinished = [];

async function showPlace() {
  const finished = Promise.allSettled(unfinished.map((finish) => finish()));
  unfinished = [];
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const route = routeOf();
  const place = PLACES.find((each) => each.name === route.place) ?? PLACES[0];
  const view = h("div", { class: "view", "aria-busy": "true" });
  drawMasthead(route);
  drawPlaces(route);
  put(main, view);
  await finished;
  if (signal.aborted) return;
  const onLeave = (finish) => unfinished.push(finish);
  try {
    if (!whoIs()) showSignIn(view, moved);
    else if (route.catalogue === null) await showCatalogues(view, { signal });
    else await place.show(view, { catalogue: route.catalogue, query: route.query, signal, onLeave });
  } catch (error) {
    if (!isAbort(error)) add(view, ...told(error, showPlace));
  }
  view.removeAttribute("aria-busy");
  if (!signal.aborted) settle(view, route.catalogue);
}

/** With a button where what is wrong may be right in a moment: the service is away, or wants to be asked less. */
function told(error, again) {
  const passes = error instanceof Problem && (error.status === 0 || error.status === 429 || error.status >= 500);
  return [problemBox(error), passes ? h("p", {}, button("Try again", again)) : null];
}

function settle(view, catalogue) {
  const heading = view.querySelector("h1")?.textContent ?? "Holotype";
  document.title = catalogue === null || !whoIs() ? `${heading} · Holotype` : `${heading} · ${catalogue} · Holotype`;
}

/** The focus goes along at once: whoever goes on with the keyboard meanwhile is not called back. */
function moved() {
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
  return showPlace();
}

async function start() {
  try {
    await resume();
  } catch (error) {
    put(main, h("div", { class: "view" }, h("h1", {}, "Holotype"), ...told(error, start)));
    return;
  }
  await showPlace();
}

addEventListener("hashchange", moved);
document.addEventListener(SIGNED_OUT, () => { forget(); showPlace(); });
start();
