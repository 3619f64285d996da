// The classes of a catalogue: those that pictures have, and those that start from words.

import { everyRow, get, ofCatalogue, withQuery } from "../api.js";

/** @typedef {{label: string, templates: string[], made_at: number}} Words */

/**
 * @param {string} catalogue
 * @param {AbortSignal} [signal]
 * @returns {Promise<{about: any, words: Map<string, Words>, labels: string[]}>} `labels` of both kinds, sorted
 */
export async function classesOf(catalogue, signal) {
  const [about, described] = await Promise.all([
    get(ofCatalogue(catalogue), signal), everyRow(withQuery(ofCatalogue(catalogue, "prompts"), { limit: 500 }), signal, Infinity),
  ]);
  const words = new Map(described.map((one) => [one.label, one]));
  const labels = [...new Set([...Object.keys(about.labels), ...words.keys()])].sort((one, other) => one.localeCompare(other));
  return { about, words, labels };
}
