"""Does choosing references help? The panel's simple members behind the same head, clean and with 20 % wrong labels.

    scripts/bench_selection [--quick] [--speed] [--seed N] [--json FILE] [--readme]

Every run goes through the product's own code: search by cross-fitting over support and tuning, gate on the holdout. The
holdout is always clean, chooses nothing, and near-duplicates never straddle it. Figures of a setting are means over
the seeds; the interval is that of the mean over all seeds' pictures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from scripts.bench.machine import machine, versions
from scripts.bench.pictures import MissingDataError, cache_folder, embedded, folder_pictures, write_digits
from scripts.bench.selection_speed import speed_figures
from scripts.bench.tables import write_results
from service.adapters.optuna_search import OptunaSearch
from service.core.baselines import panel_scores, reference_rows
from service.core.crossfit import CrossFitter
from service.core.evaluation import evaluate
from service.core.fitting import Fitted
from service.core.model import Float32Array, LabelledEmbeddings
from service.core.pipeline import HOLOTYPE, Comparison, build, compare, joined
from service.core.projection import identity_head
from service.usecases.holdings import Holdings
from service.usecases.judging import judge_candidate
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.recipe_search import search_recipe
from workers.tasks import blas_threads

ROOT = Path(__file__).resolve().parents[2]
GROCERY = ROOT.parent / "shared" / "data" / "grocery" / "train"
GATE_MARGIN = 0.01
RESAMPLES = 2000
MAX_HOLDOUT = 30
"""Holdout pictures a class at most: digits have 180 a class, and seeds tell more than further pictures do."""


def split(data: LabelledEmbeddings, shots: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of support, tuning and holdout: at most `shots` support and half as many tuning pictures a class.

    Small classes are split 60/20/20. Groups of near-duplicates stay together.
    """
    random = np.random.default_rng(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for code in np.unique(data.codes):
        groups = random.permutation(np.unique(data.groups[data.codes == code]))
        support = min(shots, max(1, round(0.6 * len(groups))))
        tuning = min(max(1, shots // 2), max(1, round(0.2 * len(groups))))
        ends = (support, support + tuning, support + tuning + MAX_HOLDOUT)
        for part, start, end in zip(parts, (0, *ends), ends, strict=False):
            part.extend(np.flatnonzero(np.isin(data.groups, groups[start:end])))
    return tuple(np.sort(np.array(part, dtype=np.int64)) for part in parts)


def with_wrong_labels(data: LabelledEmbeddings, share: float, seed: int) -> LabelledEmbeddings:
    """`share` of the labels replaced by another class, drawn evenly; a class of few rows may lose them all."""
    random = np.random.default_rng(seed)
    codes = data.codes.copy()
    wrong = random.choice(len(data), round(share * len(data)), replace=False)
    codes[wrong] = (codes[wrong] + random.integers(1, len(data.classes), len(wrong))) % len(data.classes)
    groups = data.groups.copy()
    groups[wrong] = data.groups.max() + 1 + np.arange(len(wrong))
    return LabelledEmbeddings(data.embeddings, codes, data.classes, data.ids, groups)


def raw_scores(
    fitted: Fitted, support: LabelledEmbeddings, queries: LabelledEmbeddings, seed: int
) -> dict[str, tuple[Float32Array, int]]:
    """The same panel, and the references that were chosen, on the raw embeddings: the nearest one answers."""
    counts = np.bincount(fitted.data.codes[fitted.references], minlength=len(support.classes))
    head = identity_head(support.embeddings.shape[1])
    rows = reference_rows(support, head, counts, seed)
    members = panel_scores(support, head, rows, queries.embeddings, per_label=1, pull=0.0)
    chosen = {HOLOTYPE: fitted.references}
    own = panel_scores(fitted.data, head, chosen, queries.embeddings, per_label=1, pull=0.0)[HOLOTYPE]
    return members | {HOLOTYPE: own}


def one_run(data: LabelledEmbeddings, shots: int, noise: int, seed: int, trials: int) -> dict[str, object]:
    """One seed of one setting: the gate's verdict, and right-or-wrong answers of every member."""
    support_rows, tuning_rows, holdout_rows = split(data, shots, seed)
    known = with_wrong_labels(data.take(np.concatenate([support_rows, tuning_rows])), noise / 100, seed)
    support = known.take(np.arange(len(support_rows)))
    tuning = known.take(np.arange(len(support_rows), len(known)))
    holdings = Holdings(support, tuning, data.take(holdout_rows), split_hash=f"{seed}")
    request = OptimiseRequest(seed=seed, trials=trials)
    began = time.perf_counter()
    fitter = CrossFitter(joined(support, tuning), seed)
    recipe = search_recipe(OptunaSearch(), fitter, request, trials=trials, active=None)
    candidate = build(recipe, support, tuning, seed)
    seconds = time.perf_counter() - began
    judgement = judge_candidate(candidate, holdings, request, OptunaSearch(), GATE_MARGIN, lambda _done, _total: None)
    comparison = compare(candidate, support, holdings.holdout, seed)
    nearest = compare(_nearest(candidate), support, holdings.holdout, seed).scores_no_pull["all"]
    return {
        "comparison": comparison,
        "raw": raw_scores(candidate, support, holdings.holdout, seed),
        "all_1nn": nearest,
        "seconds": seconds,
        "gate": judgement.verdict.passes,
        "pictures": holdout_rows,
        "recipe": candidate.recipe,
    }


def _nearest(fitted: Fitted) -> Fitted:
    return replace(fitted, recipe=replace(fitted.recipe, per_label=1))


def figures_of(runs: list[dict[str, object]], classes: tuple[str, ...], prefix: str) -> dict[str, float]:
    """Means over the seeds under the benchmark's names."""
    figures: dict[str, float] = {}
    for space in ("head", "head_no_pull", "raw"):
        for member in _members(runs[0], space):
            per_seed = [_scores(run, space)[member] for run in runs]
            truths = [run["comparison"].truth for run in runs]
            evaluations = [
                evaluate(truth, scores, classes) for truth, (scores, _) in zip(truths, per_seed, strict=True)
            ]
            low, high = interval_by_picture([each.correct for each in evaluations], [run["pictures"] for run in runs])
            name = f"{prefix}.{space}.{member}"
            figures |= {
                f"{name}.accuracy": float(np.mean([each.accuracy for each in evaluations])),
                f"{name}.accuracy_low": low,
                f"{name}.accuracy_high": high,
                f"{name}.macro_f1": float(np.mean([each.macro_f1 for each in evaluations])),
                f"{name}.weighted_f1": float(np.mean([each.weighted_f1 for each in evaluations])),
                f"{name}.top5": float(np.mean([each.top5 for each in evaluations])),
                f"{name}.references": float(np.mean([references for _, references in per_seed])),
                f"{name}.support": float(np.mean([run["comparison"].support for run in runs])),
            }
    figures[f"{prefix}.head.{HOLOTYPE}.seconds"] = float(np.mean([run["seconds"] for run in runs]))
    served = [
        evaluate(
            run["comparison"].truth, run["comparison"].scores[HOLOTYPE if run["gate"] else "all"], classes
        ).accuracy
        for run in runs
    ]
    figures[f"{prefix}.served.accuracy"] = float(np.mean(served))
    figures[f"{prefix}.gate_passed"] = float(np.mean([run["gate"] for run in runs]))
    return figures


def interval_by_picture(correct: list[np.ndarray], pictures: list[np.ndarray]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean accuracy over seeds: pictures are resampled, each with all its answers.

    Holdouts of different seeds share pictures, so their answers are not independent.
    """
    unique, rows = np.unique(np.concatenate(pictures), return_inverse=True)
    right = np.bincount(rows, weights=np.concatenate(correct).astype(float), minlength=len(unique))
    asked = np.bincount(rows, minlength=len(unique))
    draws = np.random.default_rng(0).multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=RESAMPLES)
    low, high = np.quantile((draws @ right) / (draws @ asked), (0.025, 0.975))
    return float(low), float(high)


def _scores(run: dict[str, object], space: str) -> dict[str, tuple[np.ndarray, float]]:
    if space == "raw":
        return run["raw"]
    comparison: Comparison = run["comparison"]
    scores = comparison.scores if space == "head" else comparison.scores_no_pull
    members = {name: (each, comparison.references[name]) for name, each in scores.items() if name != "raw"}
    if space == "head_no_pull":
        members["all_1nn"] = (run["all_1nn"], comparison.references["all"])
    return members


def _members(run: dict[str, object], space: str) -> list[str]:
    return list(_scores(run, space))


def data_sets(console: Console) -> dict[str, LabelledEmbeddings]:
    """What can be had here; what cannot is said by name."""
    found = {}
    for name, pictures in (
        ("grocery", lambda: folder_pictures("grocery", GROCERY)),
        ("digits", lambda: write_digits(cache_folder() / "digits")),
    ):
        try:
            found[name] = embedded(pictures())
        except MissingDataError as missing:
            console.print(f"[yellow]skipped[/] {missing}")
    return found


def print_tables(console: Console, figures: dict[str, float]) -> None:
    """One table a setting."""
    settings: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in figures.items():
        setting, rest = ".".join(name.split(".")[:3]), ".".join(name.split(".")[3:])
        settings[setting][rest] = value
    for setting, values in settings.items():
        table = Table(title=f"{setting}  (gate passed in {100 * values['gate_passed']:.0f} % of the seeds)")
        for column in ("member", "accuracy", "95 % interval", "macro F1", "no pull", "raw", "references"):
            table.add_column(column, justify="left" if column == "member" else "right")
        for member in ("all", "random", "lowest", "highest", "kmedoids", "means", HOLOTYPE):
            head = f"head.{member}"
            table.add_row(
                member,
                f"{100 * values[f'{head}.accuracy']:.1f}",
                f"{100 * values[f'{head}.accuracy_low']:.1f} - {100 * values[f'{head}.accuracy_high']:.1f}",
                f"{100 * values[f'{head}.macro_f1']:.1f}",
                f"{100 * values[f'head_no_pull.{member}.accuracy']:.1f}",
                f"{100 * values[f'raw.{member}.accuracy']:.1f}",
                f"{values[f'{head}.references']:.0f}",
            )
        served = f"{100 * values['served.accuracy']:.1f}"
        table.add_row("what the gate lets serve", served, "", "", "", "", "")
        nearest = values["head_no_pull.all_1nn.accuracy"]
        table.add_row("all, 1-NN", "", "", "", f"{100 * nearest:.1f}", "", f"{values['head.all.references']:.0f}")
        console.print(table)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(
        prog="bench_selection", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two seeds, ten shots, few trials")
    parser.add_argument("--speed", action="store_true", help="how long choosing takes, and nothing else")
    parser.add_argument("--shots", type=int, nargs="+", metavar="M", help="support pictures a class; default 10 20")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--readme", action="store_true", help="write the tables into the README")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    if arguments.speed:
        told = speed_figures(quick=arguments.quick, seed=arguments.seed, threads=blas_threads(), told=console.print)
        for name, value in told.items():
            Console().print(f"{name}: {value:.4g}")
        _write(arguments, "selection_speed", {"figures": told})
        return
    seeds, shots, trials = (2, (10,), 12) if arguments.quick else (5, (10, 20), 40)
    shots = tuple(arguments.shots or shots)
    figures: dict[str, float] = {}
    sets = data_sets(console)
    threadpool_limits(1, user_api="blas")  # as the worker does: many small products
    for name, data in sets.items():
        for shot in shots:
            for noise in (0, 20):
                prefix = f"{name}.m{shot}.noise{noise}"
                with console.status(f"{prefix}: {seeds} seeds"):
                    runs = [one_run(data, shot, noise, arguments.seed + seed, trials) for seed in range(seeds)]
                figures |= figures_of(runs, data.classes, prefix)
                console.print(f"{prefix}: " + "; ".join(f"{r['recipe'].strategy}/{r['recipe'].head}" for r in runs))
    print_tables(Console(), figures)
    _write(arguments, "selection", {"seeds": seeds, "figures": figures})


def _write(arguments: argparse.Namespace, section: str, found: dict[str, object]) -> None:
    """The figures' file, and the README's section, where they are asked for."""
    result = {
        "benchmark": "selection", "seed": arguments.seed, "quick": arguments.quick,
        "machine": machine(), "versions": versions(), **found,
    }  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.readme:
        write_results(ROOT / "README.md", section, result)


if __name__ == "__main__":
    main()
