// Handing labelled pictures over: one job, its pictures in as many requests as their size takes, then the seal.

import { Problem, ofCatalogue, post, request } from "../api.js";

const MOST_PICTURES = 64;
const MOST_BYTES = 16 * 1024 * 1024;
const TRIES = 4;
const PAUSE_MS = 1000;
const MOST_PAUSE_MS = 60_000;

/**
 * Goes on when the place is left: only closing the page would break it off, so that is asked about.
 * @param {string} catalogue
 * @param {import("./picture-files.js").Picture[]} pictures one or more, each with its label
 * @param {(sent: number) => void} [onSent]
 * @returns {Promise<any>} the job
 */
export async function ingest(catalogue, pictures, onSent = () => {}) {
  addEventListener("beforeunload", stay);
  try {
    return await handOver(catalogue, [...batches(pictures)], onSent);
  } finally {
    removeEventListener("beforeunload", stay);
  }
}

async function handOver(catalogue, [first, ...others], onSent) {
  const form = formOf(first);
  if (others.length) form.append("open", "true");
  const job = await patiently(ofCatalogue(catalogue, "ingests"), form);
  if (!others.length) return job;
  try {
    let sent = first.length;
    for (const some of others) {
      onSent(sent);
      await patiently(`/v1/jobs/${job.id}/pictures`, formOf(some));
      sent += some.length;
    }
    return await post(`/v1/jobs/${job.id}:seal`);
  } catch (error) {
    await post(`/v1/jobs/${job.id}:cancel`).catch(() => {}); // else its pictures count until it is given up
    throw error;
  }
}

/** Labels go in a manifest: one may hold a slash, which a folder's name cannot. */
function formOf(pictures) {
  const form = new FormData();
  const lines = pictures.map(({ path, label }) => JSON.stringify({ path, label }));
  form.append("manifest", new Blob([lines.join("\n")]), "labels.jsonl");
  for (const { path } of pictures) form.append("paths", path);
  for (const { file } of pictures) form.append("pictures", file);
  return form;
}

/** A connection that breaks is tried again: the service knows what it has already. A wait of an hour is a refusal. */
async function patiently(path, form) {
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  for (let tried = 1; ; tried += 1) {
    try {
      return await request("POST", path, { form, headers });
    } catch (error) {
      const passes = error instanceof Problem && [0, 429, 503].includes(error.status);
      if (!passes || tried === TRIES || error.retryAfterMs > MOST_PAUSE_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs || PAUSE_MS * 2 ** tried));
    }
  }
}

function stay(event) {
  event.preventDefault();
}

/** No more than a request should hold, and in each a path only once: that is what the manifest goes by. */
function* batches(pictures) {
  let some = [];
  let bytes = 0;
  let paths = new Set();
  for (const picture of pictures) {
    const full = some.length === MOST_PICTURES || bytes + picture.file.size > MOST_BYTES || paths.has(picture.path);
    if (some.length && full) {
      yield some;
      [some, bytes, paths] = [[], 0, new Set()];
    }
    some.push(picture);
    bytes += picture.file.size;
    paths.add(picture.path);
  }
  if (some.length) yield some;
}
