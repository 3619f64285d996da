// Handing labelled pictures over: one job, its pictures in several requests of bounded size, then sealed.

import { ofCatalogue, post, request, withQuery } from "../api.js";

const MOST_PICTURES = 64;
const MOST_BYTES = 16 * 1024 * 1024;

/**
 * @param {string} catalogue
 * @param {import("./picture-files.js").Picture[]} pictures each with its label
 * @param {{signal?: AbortSignal, onSent: (sent: number) => void}} options
 * @returns {Promise<any>} the job
 */
export async function ingest(catalogue, pictures, { signal, onSent }) {
  const path = withQuery(ofCatalogue(catalogue, "ingests"), { open: true });
  let job = null;
  let sent = 0;
  for (const some of batches(pictures)) {
    const where = job === null ? path : `/v1/jobs/${job.id}/pictures`;
    job = await request("POST", where, { form: formOf(some), signal });
    sent += some.length;
    onSent(sent);
  }
  return post(`/v1/jobs/${job.id}:seal`);
}

function formOf(pictures) {
  const form = new FormData();
  for (const { file, path, label } of pictures) {
    form.append("pictures", file, path);
    form.append("labels", label);
  }
  return form;
}

/** @param {import("./picture-files.js").Picture[]} pictures */
function* batches(pictures) {
  let some = [];
  let bytes = 0;
  for (const picture of pictures) {
    if (some.length && (some.length === MOST_PICTURES || bytes + picture.file.size > MOST_BYTES)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(picture);
    bytes += picture.file.size;
  }
  if (some.length) yield some;
}
