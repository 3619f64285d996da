// Classifying pictures: drop one and see its label, how sure that is, why, and what it resembles.

import { methodOf, request } from "../api.js";
import { field, h, put, select } from "../dom.js";
import { counted } from "../format.js";
import { announce, problemBox, tell } from "../telling.js";
import { nothingYet } from "../parts/nothing-yet.js";
import { answerCard, spoken } from "../parts/answer-card.js";
import { classesOf } from "../parts/classes.js";
import { dropzone, onPaste } from "../parts/dropzone.js";

const MOST = 64;
const ERRORS = [["", "Always answer"], ["0.01", "At most 1 % wrong"], ["0.02", "At most 2 % wrong"], ["0.05", "At most 5 % wrong"], ["0.1", "At most 10 % wrong"]];

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showClassify(view, { catalogue, signal }) {
  const strict = select(ERRORS, "", { name: "max_error" });
  const answers = h("div", { class: "stack answers" });
  const zone = dropzone({
    title: "Drop a picture here", hint: `Up to ${MOST} at a time; pasting one works too.`, onPictures: ask,
  });
  onPaste(signal, ask);
  put(view, h("h1", {}, "Classify"), zone,
    field("How careful", strict, "Answers that cannot be trusted that far are rejected, with the reason. Needs an optimised catalogue."), answers);
  const { labels } = await classesOf(catalogue, signal);
  if (!labels.length) put(answers, nothingYet(catalogue, "There is nothing to answer by yet."));

  async function ask(pictures) {
    if (!pictures.length) {
      tell("There is no picture in what you chose: JPEG, PNG and WebP can be used.");
      return;
    }
    const some = pictures.slice(0, MOST);
    if (some.length < pictures.length) tell(`The first ${MOST} of ${counted(pictures.length, "picture")} are classified; for more, hand them over as a job.`);
    put(answers, h("p", { class: "waiting", role: "status" }, `Looking at ${counted(some.length, "picture")} …`));
    try {
      const found = await classify(catalogue, some, strict.value, signal);
      put(answers, ...found.map((answer, at) => answerCard(catalogue, answer, some[at], labels, signal)));
      announce(found.length === 1 ? spoken(found[0]) : `${found.length} answers.`);
    } catch (error) {
      put(answers, problemBox(error));
    }
  }
}

async function classify(catalogue, pictures, maxError, signal) {
  const form = new FormData();
  for (const { file, path } of pictures) form.append("pictures", file, path);
  if (maxError) form.append("max_error", maxError);
  const answer = await request("POST", methodOf(catalogue, "classify"), { form, signal });
  return answer.items;
}
