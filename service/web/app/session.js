// Who is signed in. The key itself is in an HttpOnly cookie; here is only what the page shows of it.

import { Problem, SIGNED_OUT, get, request } from "./api.js";

/** @typedef {{tenant: string, key_id: string, scopes: string[]}} Me */

const MARK = "holotype.signed-in";

/** @type {Me | null} */
let me = null;

/** @returns {Me | null} */
export const whoIs = () => me;

/** May the key change things? */
export const mayWrite = () => Boolean(me?.scopes.includes("write"));

/**
 * Takes up the session of this browser, if there is one.
 * @returns {Promise<Me | null>}
 */
export async function resume() {
  if (!localStorage.getItem(MARK)) return null;
  try {
    me = await get("/v1/me");
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    forget();
  }
  return me;
}

/** @param {string} key @returns {Promise<Me>} @throws {Problem} */
export async function signIn(key) {
  await request("POST", "/v1/session", { json: { key } });
  localStorage.setItem(MARK, "yes");
  me = await get("/v1/me");
  return /** @type {Me} */ (me);
}

/** Ends the session; the cookie goes with it. */
export async function signOut() {
  await request("DELETE", "/v1/session");
  forget();
  document.dispatchEvent(new CustomEvent(SIGNED_OUT));
}

/** The service no longer knows the key. */
export function forget() {
  me = null;
  localStorage.removeItem(MARK);
}
