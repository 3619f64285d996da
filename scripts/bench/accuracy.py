"""Holotype against everything else that can be done with the same embeddings: clean, mislabelled, unknown, one-shot.

    scripts/bench_accuracy [--quick] [--data FOLDER...] [--only NAME...] [--shots M...] [--noise PERCENT...]
                           [--settings NAME...] [--encoder SPEC] [--seed N] [--jobs N] [--json FILE] [--with FILE...]
                           [--readme]

Every case goes through the product's own code: search by cross-fitting over what is handed over, and pictures that
chose nothing to judge (bench_selection shows what the gate says). The panel answers on the same embeddings behind the
same head, with its pull and without, and raw. Figures are means over the seeds, intervals are 95 % bootstrap intervals
over pictures. With --readme the tables and plots of the README are written; --with takes in what earlier runs of the
same extent, of other data or settings (m10.noise0, story.noise0, ...), wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from threadpoolctl import threadpool_limits

from scripts.bench.accuracy_figures import setting_figures
from scripts.bench.accuracy_plots import write_plots
from scripts.bench.accuracy_tables import accuracy_section, print_tables
from scripts.bench.answering import Outcome, answered, chosen
from scripts.bench.cases import Case, Setting, without_classes
from scripts.bench.data_sets import ROOT, DataSet, Extent, found_sets, settings_of
from scripts.bench.heads import behind_heads, head_figures
from scripts.bench.machine import machine, versions
from scripts.bench.tables import write_section
from scripts.bench.trusting import UnknownFound, trust_figures, unknown_figures, unknown_in
from service.core.unknowns import MIN_CLASSES
from service.settings import PACKAGED_ENCODER

SETS = ("grocery", "emoji", "digits", "textile")
UNKNOWN_SHARE = 0.2
PLOTS = Path("scripts") / "bench" / "figures"


def unknown_answers(case: Case, trials: int) -> UnknownFound | None:
    """The case again with a fifth of its classes unknown; None where too little is known to trust anything."""
    if len(case.support.classes) < MIN_CLASSES:
        return None
    less, known = without_classes(case, UNKNOWN_SHARE)
    fitted, recipe, fitter, _ = chosen(less, trials)
    return None if fitter is None else unknown_in(fitter, fitted, recipe, less.judged, known)


def measured(
    sets: Sequence[DataSet], extent: Extent, jobs: int, console: Console, only: Sequence[str] = ()
) -> dict[str, float]:
    """All figures, or those of the settings named; what a setting found is told as soon as it is whole.

    Cases run side by side, each on one thread.
    """
    figures: dict[str, float] = {}
    context = get_context("spawn")  # PyTorch's threads are about: forking would copy their locks
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool:
        asked = [
            (found.name, setting)
            for found in sets
            for setting in settings_of(found, extent)
            if not only or setting.name.removeprefix(f"{found.name}.") in only
        ]
        panels = [setting for _, setting in asked if not setting.heads]
        answers = {setting.name: _answers(pool, setting, extent.trials) for setting in panels}
        strangers = {
            setting.name: [pool.submit(unknown_answers, case, extent.trials) for case in setting.cases]
            for setting in panels
            if setting.trusted
        }
        behind = {
            setting.name: [pool.submit(behind_heads, case) for case in setting.cases]
            for _, setting in asked
            if setting.heads
        }
        for name, setting in asked:
            if setting.heads:
                figures |= head_figures(setting, [one.result() for one in behind.pop(setting.name)])
                continue
            outcomes = [one.result() for one in answers.pop(setting.name)]
            figures |= setting_figures(setting, outcomes)
            unknown = [one.result() for one in strangers.get(setting.name, [])]
            figures |= trusted_figures(name, outcomes, unknown, extent.seeds[0])
            recipes = "; ".join(f"{one.recipe.strategy}/{one.recipe.head}/{one.recipe.cleaning}" for one in outcomes)
            console.print(f"{setting.name}: {recipes}")
    return figures


def _answers(pool: ProcessPoolExecutor, setting: Setting, trials: int) -> list[Future[Outcome]]:
    return [pool.submit(answered, case, trials, trusted=setting.trusted) for case in setting.cases]


def trusted_figures(
    name: str, outcomes: Sequence[Outcome], unknown: Sequence[UnknownFound | None], seed: int
) -> dict[str, float]:
    """Verification, calibration and unknown classes, of the cases where something can be said."""
    figures: dict[str, float] = {}
    if trusts := [one.trust for one in outcomes if one.trust is not None]:
        figures |= trust_figures(name, trusts)
    if strangers := [one for one in unknown if one is not None]:
        figures |= unknown_figures(name, strangers, seed)
    return figures


def _one_thread() -> None:
    threadpool_limits(1)  # as the worker does: many small products


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="bench_accuracy", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a subsample, two seeds, ten shots, few trials")
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="FOLDER", help="further data: class/picture"
    )
    parser.add_argument("--only", nargs="*", default=list(SETS), choices=SETS, help="data sets besides; default: all")
    parser.add_argument("--shots", type=int, nargs="+", metavar="M", help="support pictures a class")
    parser.add_argument(
        "--noise", type=int, nargs="+", default=[0, 20], metavar="PERCENT", help="labels that are wrong; 0 20"
    )
    parser.add_argument("--settings", nargs="+", default=[], metavar="NAME", help="only these, such as m10.noise0")
    parser.add_argument("--encoder", default=PACKAGED_ENCODER, metavar="SPEC", help="what embeds the pictures")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="cases at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    parser.add_argument(
        "--with", dest="earlier", type=Path, nargs="+", default=[], metavar="FILE", help="figures of earlier runs"
    )
    parser.add_argument("--readme", action="store_true", help="write tables and plots into the README")
    return parser.parse_args()


def taken_in(result: dict[str, object], earlier: dict[str, object]) -> dict[str, object]:
    """A result with the figures and minutes of an earlier one. Raises ValueError where their extents differ."""
    for name in ("benchmark", "encoder", "quick", "seed", "seeds", "trials", "machine"):
        before = earlier.get(name, PACKAGED_ENCODER if name == "encoder" else None)  # which once was the only one
        if result[name] != before:
            raise ValueError(f"{name} is {result[name]} in this run and {before} in the earlier one")
    minutes = round(result["minutes"] + earlier["minutes"], 1)
    return {**result, "minutes": minutes, "figures": earlier["figures"] | result["figures"]}


def main() -> None:
    """Run, print, write."""
    asked = arguments()
    console = Console(stderr=True)
    began = time.perf_counter()
    seeds, shots, trials = (2, (10,), 12) if asked.quick else (5, (1, 5, 10, 20), 40)
    shots = tuple(asked.shots or shots)
    extent = Extent(asked.quick, tuple(range(asked.seed, asked.seed + seeds)), shots, trials, tuple(asked.noise))
    if asked.quick:
        console.print(f"quick: {seeds} seeds, {trials} trials a search, and of large data sets a part only")
    sets = found_sets(asked.only, asked.data, asked.encoder, quick=asked.quick, console=console)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started now
    figures = measured(sets, extent, asked.jobs, console, asked.settings)
    minutes = (time.perf_counter() - began) / 60
    result = {
        "benchmark": "accuracy", "seed": asked.seed, "seeds": seeds, "trials": trials, "quick": asked.quick,
        "encoder": asked.encoder, "minutes": round(minutes, 1), "machine": machine(), "versions": versions(),
        "figures": figures,
    }  # fmt: skip
    for file in asked.earlier:
        result = taken_in(result, json.loads(file.read_text()))
    plain = Console()
    print_tables(plain if plain.is_terminal else Console(width=180), result)
    console.print(f"{minutes:.1f} minutes")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n")
    if asked.readme:
        plots = write_plots(ROOT, PLOTS, result["figures"])
        write_section(ROOT / "README.md", "accuracy", accuracy_section(result, plots))


if __name__ == "__main__":
    main()
