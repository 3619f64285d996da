// Requests to the service. The key is in a cookie that no script can read; errors are the service's problems.

import { sentence } from "./format.js";

/** An answer that is a problem (RFC 9457): `message` is its `detail`, a sentence for a person. */
export class Problem extends Error {
  /**
   * @param {number} status 0 where the service was not reached
   * @param {string} detail
   * @param {Record<string, any>} [body]
   * @param {number} [retryAfterMs] when to ask again, where the service says so
   */
  constructor(status, detail, body = {}, retryAfterMs = 0) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.body = body;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Dispatched on `document` when the service no longer knows the key. */
export const SIGNED_OUT = "holotype:signed-out";

/**
 * The JSON that the service answers with; null for an answer without a body.
 * @param {string} method
 * @param {string} path
 * @param {{json?: unknown, form?: FormData, signal?: AbortSignal, headers?: Record<string, string>,
 *   keepalive?: boolean}} [options]
 * @returns {Promise<any>}
 * @throws {Problem}
 */
export async function request(method, path, options = {}) {
  const headers = new Headers(options.headers);
  if (options.json !== undefined) headers.set("Content-Type", "application/json");
  const body = options.json === undefined ? options.form : JSON.stringify(options.json);
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body, signal: options.signal, keepalive: options.keepalive, credentials: "same-origin",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "The service cannot be reached. Check that it is running, then try again.");
  }
  if (answer.ok) return answer.status === 204 ? null : read(answer);
  throw await problemOf(answer, path);
}

/** @param {string} path @param {AbortSignal} [signal] */
export const get = (path, signal) => request("GET", path, { signal });

/** @param {string} path @param {unknown} [json] */
export const post = (path, json) => request("POST", path, json === undefined ? {} : { json });

/**
 * All rows of a list that comes in pages, up to `most`.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @param {number} [most]
 * @returns {Promise<any[]>}
 */
export async function everyRow(path, signal, most = 2000) {
  const rows = [];
  let cursor = null;
  do {
    const page = await get(cursor ? withQuery(path, { cursor }) : path, signal);
    rows.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && rows.length < most);
  return rows;
}

/**
 * The path of a catalogue, or of something in it.
 * @param {string} catalogue
 * @param {...string} steps each is escaped
 */
export function ofCatalogue(catalogue, ...steps) {
  return ["/v1/catalogues", catalogue, ...steps].map((step, at) => (at ? encodeURIComponent(step) : step)).join("/");
}

/**
 * A method of a catalogue, such as `:classify`.
 * @param {string} catalogue
 * @param {string} method
 */
export function methodOf(catalogue, method) {
  return `${ofCatalogue(catalogue)}:${method}`;
}

/**
 * The path with query parameters; empty ones are left out.
 * @param {string} path
 * @param {Record<string, string | number | boolean | null | undefined>} values
 */
export function withQuery(path, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== "" && value !== null && value !== undefined) query.append(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}${path.includes("?") ? "&" : "?"}${text}` : path;
}

/**
 * Where an example's thumbnail is.
 * @param {string} catalogue
 * @param {string} example
 * @param {number} [edge] longer edge, pixels
 */
export function thumbnailOf(catalogue, example, edge = 160) {
  return withQuery(ofCatalogue(catalogue, "examples", example, "thumbnail"), { edge_px: edge });
}

async function read(answer) {
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

async function problemOf(answer, path) {
  let body = {};
  try {
    body = await answer.json();
  } catch {
    body = {};
  }
  if (answer.status === 401 && !path.endsWith("/session")) document.dispatchEvent(new CustomEvent(SIGNED_OUT));
  const pauseMs = 1000 * Number(answer.headers.get("Retry-After") ?? 0);
  return new Problem(answer.status, sentence(body.detail ?? "") || `The service answered ${answer.status}.`, body, pauseMs);
}
