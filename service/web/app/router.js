// Places of the page: `#/` lists catalogues, `#/c/NAME/PLACE?query` is a place of one.

/** @typedef {{catalogue: string | null, place: string, query: URLSearchParams}} Route */

export const FIRST_PLACE = "overview";

/** @param {string} [hash] @returns {Route} */
export function routeOf(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [kind, name, place] = path.split("/").map(decoded);
  const catalogue = kind === "c" && name ? name : null;
  return { catalogue, place: place || FIRST_PLACE, query: new URLSearchParams(query) };
}

/**
 * The address of a place.
 * @param {string | null} catalogue
 * @param {string} [place]
 * @param {Record<string, string>} [query]
 */
export function linkTo(catalogue, place = FIRST_PLACE, query = {}) {
  if (catalogue === null) return "#/";
  const asked = new URLSearchParams(query).toString();
  return `#/c/${encodeURIComponent(catalogue)}/${place}${asked ? `?${asked}` : ""}`;
}

/** @param {string | null} catalogue @param {string} [place] @param {Record<string, string>} [query] */
export function go(catalogue, place, query) {
  const wanted = linkTo(catalogue, place, query);
  if (location.hash === wanted) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = wanted;
}

function decoded(step) {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
