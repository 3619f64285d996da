"""How long does choosing take, and what does it grow with? On made-up classes that overlap.

A whole choice is what `holotype optimise` does: search over recipes by cross-fitting, heads included, then the gate.
Beside it: Optuna alone, a parameter for each class's threshold, until it reaches the objective that the exact sweep
reached; condensed nearest neighbours (imbalanced-learn) and greedy facility location on the same support.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from threadpoolctl import threadpool_limits

from scripts.bench.members import condensed_rows, facility_rows
from scripts.bench.search_timing import exponent
from service.adapters.optuna_search import OptunaSearch
from service.core.centrality import eigenvector_centrality
from service.core.crossfit import CrossFitter
from service.core.model import LabelledEmbeddings
from service.core.objective import PrefixTable
from service.core.pipeline import build, joined
from service.core.thresholds import Ranking
from service.usecases.holdings import Holdings
from service.usecases.judging import judge_candidate
from service.usecases.optimise_request import DEFAULT_TRIALS, OptimiseRequest
from service.usecases.recipe_search import search_recipe

WIDTH = 384
SHAPES = {12: (12, 4, 4), 81: (20, 6, 7), 1_000: (10, 10, 10)}
"""Classes to pictures of support, tuning and holdout in each."""
CASES = ((12, 1), (12, 3), (81, 1), (1_000, 1))
"""Classes, and parts of `WIDTH` side by side in an embedding: the default encoder has three."""
CLASS_STEPS = (10, 100, 1_000)
IMAGE_STEPS = (20, 200, 2_000)
"""Pictures of each of ten classes."""
STEP_TRIALS = 9
"""Of each search whose growth is measured: the warm starts, the same recipes at every size."""
PATIENCE_S, PATIENCE_TIMES = 10.0, 100
"""How long Optuna may try, in processor time: so many seconds, and so many times what the sweep took."""
MOST_CLASSES_BESIDE = 100
"""Beyond them Optuna and condensed nearest neighbours are left out: they would take most of an hour."""
PENALTY = 0.05


def overlapping(classes: int, each: int, seed: int, parts: int = 1) -> LabelledEmbeddings:
    """Classes around centres, with more noise than centre and a few strong directions, as embeddings have them."""
    random = np.random.default_rng(seed)
    strength = np.arange(1, WIDTH + 1) ** -0.7
    codes = np.repeat(np.arange(classes), each)
    drawn = []
    for _ in range(parts):
        centres = random.standard_normal((classes, WIDTH)) * strength
        rows = centres[codes] + 2.5 * random.standard_normal((len(codes), WIDTH)) * strength + strength[0]
        drawn.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    embeddings = (np.concatenate(drawn, axis=1) / np.sqrt(parts)).astype(np.float32)
    labels = tuple(f"class {code:04d}" for code in range(classes))
    return LabelledEmbeddings(embeddings, codes, labels, tuple(map(str, range(len(codes)))), np.arange(len(codes)))


def holdings_of(classes: int, shape: tuple[int, int, int], seed: int, parts: int = 1) -> Holdings:
    """Support, tuning and holdout of as many pictures a class as `shape` says."""
    data = overlapping(classes, sum(shape), seed, parts)
    place = np.tile(np.arange(sum(shape)), classes)
    splits = [data.take((place >= start) & (place < start + size)) for start, size in _spans(shape)]
    return Holdings(*splits, split_hash=f"{classes}")


def _spans(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    return list(zip(np.cumsum((0, *shape[:2])).tolist(), shape, strict=True))


@dataclass(frozen=True)
class Clock:
    """Seconds that passed, and those that this process had a processor: other work lengthens these less."""

    wall_s: float
    cpu_s: float

    @staticmethod
    def now() -> Clock:
        """Both clocks, from wherever they count."""
        return Clock(time.perf_counter(), time.process_time())

    def since(self, began: Clock) -> Clock:
        """What is between."""
        return Clock(self.wall_s - began.wall_s, self.cpu_s - began.cpu_s)


def chosen_in(
    holdings: Holdings, trials: int, seed: int, *, threads: int = 1, gate: bool = True
) -> tuple[Clock, Clock, int]:
    """What the search takes, and the whole choice with its gate; how many references it keeps.

    Where the holdout is too small to tell, the gate is a nested cross-fitting, and takes longer than the search.
    """
    request = OptimiseRequest(seed=seed, trials=trials)
    began = Clock.now()
    fitter = CrossFitter(joined(holdings.support, holdings.tuning), seed, threads=threads)
    recipe = search_recipe(OptunaSearch(), fitter, request, trials=trials, active=None)
    candidate = build(recipe, holdings.support, holdings.tuning, seed)
    searched = Clock.now().since(began)
    if gate:
        judge_candidate(candidate, holdings, request, OptunaSearch(), 0.01, lambda _done, _total: None, threads=threads)
    return searched, Clock.now().since(began), len(candidate.references)


def against_optuna(holdings: Holdings, seed: int, patience_s: float = PATIENCE_S) -> dict[str, float]:
    """Processor time of the sweep, table included, and of Optuna until it reaches the same objective or gives up."""
    support, tuning = holdings.support, holdings.tuning
    ranking = Ranking.of(eigenvector_centrality(support.embeddings).values, support.codes, len(support.classes))
    began = Clock.now()
    table = PrefixTable.between(support.embeddings[ranking.rows], tuning.embeddings, ranking, tuning.codes, 1)
    least = np.minimum(1, ranking.sizes)
    counts = table.sweep(np.maximum(1, ranking.sizes // 3), least, ranking.sizes, PENALTY)
    swept_s = Clock.now().since(began).cpu_s

    def objective(counts: np.ndarray) -> float:
        return table.accuracy(counts) - PENALTY * counts.sum() / len(table.truth)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    goal, names = objective(counts), [f"c{code}" for code in range(len(ranking.sizes))]
    began = Clock.now()
    while True:
        trial = study.ask()
        tried = [trial.suggest_int(name, 1, int(size)) for name, size in zip(names, ranking.sizes, strict=True)]
        value = objective(np.array(tried))
        study.tell(trial, value)
        taken = Clock.now().since(began)
        if value >= goal or taken.cpu_s > max(patience_s, PATIENCE_TIMES * swept_s):
            break
    end = f"classes{len(names)}"
    return {
        f"select.sweep_seconds.{end}": swept_s,
        f"select.ratio_to_optuna.{end}": taken.cpu_s / swept_s,
        f"select.optuna_reached.{end}": float(value >= goal),
        f"select.optuna_behind.{end}": goal - study.best_value,
    }


def beside(holdings: Holdings, references: int, seed: int) -> dict[str, float]:
    """Seconds and accuracy, on the holdout by the nearest raw reference, of what others would choose from."""
    support, holdout = holdings.support, holdings.holdout
    classes = len(support.classes)
    counts = np.minimum(max(1, references // classes), np.bincount(support.codes, minlength=classes))
    ways: dict[str, Callable[[], np.ndarray]] = {
        "facility": lambda: facility_rows(support.embeddings, support.codes, counts),
        "cnn": lambda: condensed_rows(support.embeddings, support.codes, seed),
    }
    figures: dict[str, float] = {}
    for name, way in ways.items():
        began = time.perf_counter()
        rows = way()
        figures[f"select.{name}.seconds.classes{classes}"] = time.perf_counter() - began
        nearest = (holdout.embeddings @ support.embeddings[rows].T).argmax(axis=1)
        figures[f"select.{name}.accuracy.classes{classes}"] = float(
            (support.codes[rows][nearest] == holdout.codes).mean()
        )
    return figures


def peak_mb() -> float:
    """The most that this process ever had resident."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@threadpool_limits.wrap(limits=1, user_api="blas")  # as `workers.tasks` has it
def speed_figures(*, quick: bool, seed: int, threads: int, told: Callable[[str], None]) -> dict[str, float]:
    """All figures; a quick run leaves the largest step of each out. Large choices may have so many threads."""
    figures: dict[str, float] = {"select.threads": threads}
    for classes, parts in CASES[: 3 if quick else None]:
        end = f"classes{classes}" + (f"parts{parts}" if parts > 1 else "")
        told(f"choosing among {end}")
        holdings = holdings_of(classes, SHAPES[classes], seed, parts)
        searched, whole, references = chosen_in(holdings, DEFAULT_TRIALS, seed, threads=threads)
        figures |= {f"select.seconds.{end}": whole.wall_s, f"select.references.{end}": references}
        figures[f"select.cpu_seconds.{end}"] = whole.cpu_s
        figures[f"select.search_seconds.{end}"] = searched.wall_s
        figures[f"select.search_cpu_seconds.{end}"] = searched.cpu_s
        if classes <= MOST_CLASSES_BESIDE and parts == 1:
            figures |= against_optuna(holdings, seed) | beside(holdings, references, seed)
    for name, steps, shaped in (
        ("classes", CLASS_STEPS, lambda step: (step, (12, 4, 4))),
        ("images", IMAGE_STEPS, lambda step: (10, (step * 6 // 10, step * 2 // 10, step * 2 // 10))),
    ):
        taken = []
        for step in steps[: 2 if quick else None]:
            told(f"growth of {name}: {step}")
            before = peak_mb()
            taken.append(chosen_in(holdings_of(*shaped(step), seed), STEP_TRIALS, seed, gate=False)[0].cpu_s)
            figures[f"select.step_cpu_seconds.{name}{step}"] = taken[-1]
            figures[f"select.step_growth_mb.{name}{step}"] = peak_mb() - before
        figures[f"select.exponent.{name}"] = exponent(steps[: len(taken)], taken)
    return figures | {"select.peak_mb": peak_mb()}
