// Asking for references to be chosen.

import { methodOf, post } from "../api.js";
import { field, h, select } from "../dom.js";
import { busyWith } from "../telling.js";

const STRATEGIES = [["auto", "What is best in cross-fitting"], ["thresholds", "Centrality thresholds"], ["medoids", "Medoids"], ["all", "All pictures"]];
const METRICS = [["accuracy", "Accuracy"], ["macro_f1", "Macro F1 (each class counts the same)"]];

/**
 * @param {string} catalogue
 * @param {(job: any) => void} onJob
 */
export function optimiseForm(catalogue, onJob) {
  const budget = h("input", { type: "number", min: 1, step: 1, inputmode: "numeric", placeholder: "30 % of the class" });
  const strategy = select(STRATEGIES, "auto");
  const metric = select(METRICS, "accuracy");
  const submit = h("button", { type: "submit", class: "primary" }, "Choose the references");
  const options = h("details", {}, h("summary", {}, "Options"),
    h("div", { class: "row end" }, field("References a class, at most", budget), field("Strategy", strategy), field("Maximise", metric)));
  return h("form", { class: "card stack", on: { submit: enter } },
    h("p", {}, "Picks, for every class, the few pictures that classify best, judges them on pictures that chose nothing, and lets them answer if they are no worse than all of them."),
    options, h("div", { class: "row" }, submit));

  function enter(event) {
    event.preventDefault();
    const asked = { strategy: strategy.value, metric: metric.value, ...(budget.value ? { budget: Number(budget.value) } : {}) };
    busyWith(submit, async () => onJob(await post(methodOf(catalogue, "optimise"), asked)));
  }
}
