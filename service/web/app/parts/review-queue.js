// The queue of findings: what is looked at, what was decided, and a moment to take it back before it is sent.

import { ofCatalogue, request } from "../api.js";
import { button, h, put } from "../dom.js";
import { mayWrite } from "../session.js";
import { announce, complain } from "../telling.js";
import { openDialog } from "./dialog.js";
import { decisionsOf, findingCard, likelyLabel } from "./finding-card.js";
import { labelField } from "./label-field.js";

/** A decision is sent when the next one is made, when this place is left, or after this time. */
const GRACE_MS = 5000;
const WORDS = { keep: "Keep", relabel: "Relabel", drop: "Drop" };
const DONE = { keep: "kept", relabel: "relabelled", drop: "dropped" };
const KEYS = [
  ["k", "keep: it is right, and is not listed again"], ["r", "relabel: go to the label, Enter takes it"],
  ["d", "drop: delete the picture, and keep it out"], ["u", "undo the last decision, for five seconds"],
  ["← →", "the finding before, the next one"], ["?", "this help"],
];

export class ReviewQueue {
  /**
   * @param {HTMLElement} place
   * @param {{catalogue: string, labels: string[], signal: AbortSignal}} options
   */
  constructor(place, { catalogue, labels, signal }) {
    this.place = place;
    this.catalogue = catalogue;
    this.labels = labels;
    this.signal = signal;
    /** @type {any[]} */
    this.findings = [];
    this.at = 0;
    /** @type {Map<string, string>} example id to what was decided */
    this.decided = new Map();
    /** @type {{finding: any, decision: string, label: string | null, timer: number} | null} */
    this.pending = null;
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    addEventListener("pagehide", () => this.flush({ keepalive: true }), { signal });
  }

  /** @param {any[]} findings */
  show(findings) {
    this.findings = findings;
    this.at = Math.max(0, findings.findIndex((one) => !this.isDone(one)));
    this.draw();
  }

  isDone(finding) {
    return Boolean(finding.example && this.decided.has(finding.example.id));
  }

  draw() {
    const finding = this.findings[this.at];
    if (!finding) {
      put(this.place, h("p", { class: "empty" }, "Nothing is listed: this catalogue is clean as far as can be told."));
      return;
    }
    const left = this.findings.filter((one) => !this.isDone(one) && one.example).length;
    put(this.place,
      h("section", { class: "card stack review", "aria-label": "Finding" },
        h("div", { class: "row spread" }, h("span", { class: "hint" }, `${this.at + 1} of ${this.findings.length} · ${left} to decide`), this.moves()),
        findingCard(this.catalogue, finding, (id) => this.decided.get(id) === "drop", this.signal), this.choices(finding), this.undoing()));
  }

  moves() {
    return h("div", { class: "row" },
      button("←", () => this.move(-1), { "aria-label": "The finding before", "aria-keyshortcuts": "ArrowLeft" }),
      button("→", () => this.move(1), { "aria-label": "The next finding", "aria-keyshortcuts": "ArrowRight" }),
      button("?", () => showKeys(), { "aria-label": "Help on keys" }));
  }

  choices(finding) {
    const already = finding.example ? this.decided.get(finding.example.id) : null;
    if (already) return h("p", { class: "decided" }, `This picture is ${DONE[already]}.`);
    const allowed = decisionsOf(finding);
    if (!mayWrite()) return h("p", { class: "hint" }, `Suggested: ${finding.suggested}. Your key may look, but not decide.`);
    if (!allowed.length) return h("p", { class: "hint" }, "This is about classes: it stays listed as long as it holds.");
    const simple = (decision, key) => allowed.includes(decision) ? button(`${WORDS[decision]} (${key})`, () => this.decide(decision), {
      class: finding.suggested === decision ? "primary" : decision === "drop" ? "danger" : null, "aria-keyshortcuts": key,
    }) : null;
    return h("div", { class: "stack" }, h("p", { class: "hint" }, `Suggested: ${finding.suggested}.`),
      h("div", { class: "row end" }, simple("keep", "k"), simple("drop", "d"), this.relabelForm(finding)));
  }

  relabelForm(finding) {
    const { element, input } = labelField("Its label", this.labels, { value: likelyLabel(finding), required: true });
    input.classList.add("relabel-input");
    const submit = h("button", { type: "submit", class: finding.suggested === "relabel" ? "primary" : null, "aria-keyshortcuts": "r" }, "Relabel (r)");
    const enter = (event) => { event.preventDefault(); this.decide("relabel", input.value.trim()); };
    return h("form", { class: "row end", on: { submit: enter } }, element, submit);
  }

  undoing() {
    if (!this.pending) return null;
    const { finding, decision, label } = this.pending;
    const told = `${finding.example.label}: ${DONE[decision]}${label ? ` as ${label}` : ""}.`;
    return h("p", { class: "row undo" }, h("span", {}, told), button("Undo (u)", () => this.undo(), { "aria-keyshortcuts": "u" }));
  }

  /** @param {string} decision @param {string | null} [label] */
  decide(decision, label = null) {
    const finding = this.findings[this.at];
    if (!mayWrite() || !finding?.example || this.isDone(finding) || !decisionsOf(finding).includes(decision)) return;
    this.flush();
    this.decided.set(finding.example.id, decision);
    this.pending = { finding, decision, label, timer: setTimeout(() => { this.flush(); this.quietly(); }, GRACE_MS) };
    announce(`${finding.example.label} ${DONE[decision]}.`);
    this.move(1);
  }

  undo() {
    if (!this.pending) return;
    const { finding, timer } = this.pending;
    clearTimeout(timer);
    this.pending = null;
    this.decided.delete(finding.example.id);
    this.at = Math.max(0, this.findings.indexOf(finding));
    announce("Taken back.");
    this.draw();
  }

  /** @param {{keepalive?: boolean}} [options] for a page that goes */
  async flush(options = {}) {
    if (!this.pending) return;
    const { finding, decision, label, timer } = this.pending;
    clearTimeout(timer);
    this.pending = null;
    const json = { example: finding.example.id, decision, ...(label ? { label } : {}) };
    try {
      await request("POST", ofCatalogue(this.catalogue, "hygiene", "decisions"), { json, ...options });
    } catch (error) {
      this.decided.delete(finding.example.id);
      complain(error);
      this.quietly();
    }
  }

  /** Draws anew unless somebody is typing or has moved the focus in it. */
  quietly() {
    if (this.place.isConnected && !this.place.contains(document.activeElement)) this.draw();
    else this.place.querySelector(".undo")?.remove();
  }

  move(by) {
    this.at = Math.min(this.findings.length - 1, Math.max(0, this.at + by));
    const inside = this.place.contains(document.activeElement);
    this.draw();
    if (inside) /** @type {HTMLElement} */ (document.getElementById("main")).focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event) || document.querySelector("dialog[open]")) return;
    const act = {
      k: () => this.decide("keep"), d: () => this.decide("drop"), u: () => this.undo(), "?": showKeys,
      r: () => this.startRelabel(), ArrowLeft: () => this.move(-1), ArrowRight: () => this.move(1),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  startRelabel() {
    const input = /** @type {HTMLInputElement | null} */ (this.place.querySelector(".relabel-input"));
    input?.focus();
    input?.select();
  }
}

/** Keys belong to the field that is typed in; Escape leaves it. */
function isTyping(event) {
  const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
  if (typing && event.key === "Escape") event.target.blur();
  return typing;
}

function showKeys() {
  openDialog("Keys", h("dl", { class: "facts" }, ...KEYS.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])));
}
