// Numbers and times as people read them.

const LOCALE = "en-GB";
const count = new Intl.NumberFormat(LOCALE);
const date = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });

/** @param {number} value */
export const number = (value) => count.format(value);

/** @param {number | null | undefined} share 0..1 @param {number} [digits] behind the point */
export function percent(share, digits = 1) {
  return typeof share === "number" ? `${(100 * share).toFixed(digits)}\u00a0%` : "–";
}

/** @param {number | null | undefined} value @param {number} [digits] */
export const decimal = (value, digits = 3) => (typeof value === "number" ? value.toFixed(digits) : "–");

/**
 * A number with its noun.
 * @param {number} value
 * @param {string} one
 * @param {string} [many]
 */
export const counted = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

/** @param {number} seconds since 1970 */
export const moment = (seconds) => date.format(new Date(1000 * seconds));

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * A sentence of the service, which begins in lower case and ends without a full stop.
 * @param {string} text
 */
export function sentence(text) {
  const begun = text ? `${text[0].toUpperCase()}${text.slice(1)}` : "";
  return /[.!?]$/.test(begun) || !begun ? begun : `${begun}.`;
}

/** @param {string} path @returns {string} its last step */
export const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);

/** @param {string | null | undefined} id @returns {string} its beginning, enough to tell it by */
export const shortId = (id) => (id ? id.slice(0, 8) : "–");
