// Adding labelled pictures: drop, check the labels, hand over, watch the job.

import { get, withQuery } from "../api.js";
import { button, h, put } from "../dom.js";
import { counted } from "../format.js";
import { linkTo } from "../router.js";
import { mayWrite } from "../session.js";
import { busyWith, tell } from "../telling.js";
import { classesOf } from "../parts/classes.js";
import { dropzone } from "../parts/dropzone.js";
import { isFinal } from "../parts/job-feed.js";
import { jobPanel } from "../parts/job-panel.js";
import { labelField } from "../parts/label-field.js";
import { byLabel } from "../parts/picture-files.js";
import { previewImage } from "../parts/preview-image.js";
import { ingest } from "../parts/upload.js";

const SHOWN = 6;

/**
 * @param {HTMLElement} view
 * @param {import("../places.js").Visit} visit
 */
export async function showAdd(view, { catalogue, signal }) {
  const staged = h("div");
  const jobs = h("div", { class: "stack" });
  const zone = dropzone({
    title: "Drop a folder or pictures here",
    hint: "In a folder, each folder in it is a label: apple/1.jpg is an apple. JPEG, PNG and WebP.",
    folders: true,
    onPictures: (pictures) => stage(pictures),
  });
  put(view, h("h1", {}, "Add pictures"), mayWrite() ? zone : readOnly(), staged, jobs);
  const [{ labels }, recent] = await Promise.all([
    classesOf(catalogue, signal),
    get(withQuery("/v1/jobs", { catalogue, kind: "ingest", limit: 3 }), signal),
  ]);
  for (const job of recent.items.filter((each) => !isFinal(each))) jobs.append(panelOf(job));

  function stage(pictures) {
    if (!pictures.length) {
      tell("There is no picture in what you chose: JPEG, PNG and WebP can be used.");
      return;
    }
    put(staged, stagingForm(pictures, labels, (chosen, form) => send(chosen, form), () => put(staged)));
    staged.querySelector("h2")?.focus();
  }

  async function send(pictures, { submit, progress }) {
    await busyWith(submit, async () => {
      progress.hidden = false;
      progress.max = pictures.length;
      const job = await ingest(catalogue, pictures, (sent) => { progress.value = sent; });
      put(staged);
      jobs.prepend(panelOf(job));
    });
    progress.hidden = true;
  }

  function panelOf(job) {
    const panel = jobPanel(job, { signal, onEnd: (ended) => { if (ended.state === "done") panel.append(next(catalogue)); } });
    return panel;
  }
}

const readOnly = () =>
  h("p", { class: "empty" }, "Your key may look, but not change anything: pictures are added with a key of scope “write”.");

function next(catalogue) {
  return h("p", { class: "row" },
    h("a", { class: "button primary", href: linkTo(catalogue, "selections") }, "Choose the references"),
    h("a", { class: "button", href: linkTo(catalogue, "classify") }, "Classify a picture"));
}

function stagingForm(pictures, known, onSend, onDismiss) {
  const groups = [...byLabel(pictures)];
  const fields = groups.map(([label, members]) => groupField(label, members, known));
  const submit = h("button", { type: "submit", class: "primary" }, `Add ${counted(pictures.length, "picture")}`);
  const progress = h("progress", { hidden: true, "aria-label": "Sent to the service" });
  const form = h("form", { class: "card stack staging", on: { submit: enter } },
    h("h2", { tabindex: "-1" }, `${counted(pictures.length, "picture")} to add`),
    h("p", { class: "hint" }, "Check the labels; each can be changed before anything is sent."),
    h("ul", { class: "groups" }, ...fields.map((each) => each.element)),
    h("div", { class: "foot stack" }, progress, h("div", { class: "row" }, submit, button("Dismiss", onDismiss, { class: "quiet" }))));
  return form;

  function enter(event) {
    event.preventDefault();
    const chosen = fields.flatMap(({ input, members }) => members.map((one) => ({ ...one, label: input.value.trim() })));
    onSend(chosen, { submit, progress });
  }
}

function groupField(label, members, known) {
  const title = label ? `Label of ${counted(members.length, "picture")}` : `Label of the ${counted(members.length, "loose picture")}`;
  const shown = members.slice(0, SHOWN).map(({ file }) => previewImage(file));
  const more = members.length > SHOWN ? h("span", { class: "hint" }, `+ ${members.length - SHOWN}`) : null;
  const { element: named, input } = labelField(title, known, { value: label, required: true });
  const element = h("li", { class: "group" }, named, h("div", { class: "strip" }, ...shown, more));
  return { element, input, members };
}
