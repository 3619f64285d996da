"""Bayesian optimisation over recipes, judged by cross-fitting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.calibration import fit_temperature
from service.core.crossfit import CrossFitter
from service.core.metric_learning import STEPS
from service.core.recipe import Recipe
from service.errors import InvalidInput
from service.ports import ChoiceParameter, FloatParameter, IntParameter, Parameter, ParameterSearch
from service.records import Trial
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.recipe_race import RecipeRace

MOST_PULL = 0.95
"""At 1 all references of a class are one point, and which of them a picture resembles could not be said."""
MAX_SEARCHED_CLASSES = 100
"""The sampler's own cost grows with the parameters: 4 ms a trial at 81, 300 ms at 1 000."""

LDA: Mapping[str, Any] = {"head": "lda", "shrinkage": 0.05, "cleaning": "none", "pull": 0.8, "per_label": 1}
"""A strong head and pull, whatever the references."""
STEADY: Mapping[str, Any] = {**LDA, "cleaning": "modelled", "medoids": 3}
"""What a search has to beat (README, decision 21). On few pictures the best of many trials is mostly a worse one."""

SEARCH_VERSION = 7
"""Goes up with whatever changes a trial's value or the order of trials: older studies are not resumed then."""

OnTrial = Callable[[Trial], None]


def parameter_space(request: OptimiseRequest) -> dict[str, Parameter]:
    """The outer parameters of a recipe that the request leaves open."""
    strategies = request.strategies
    space: dict[str, Parameter] = {
        "head": ChoiceParameter(request.heads),
        "shrinkage": FloatParameter(0.01, 0.9, log=True),
        "steps": ChoiceParameter(STEPS),
        "cleaning": ChoiceParameter(("none", "disputed", "modelled")),
        "pull": FloatParameter(0.0, MOST_PULL),
        "per_label": IntParameter(1, 3 if request.vote in ("best", "auto") else 1),
    }
    if request.voters != (None,):
        space["neighbours"] = ChoiceParameter(request.voters)
    if len(strategies) > 1:
        space["strategy"] = ChoiceParameter(strategies)
    if "medoids" in strategies:
        space["medoids"] = IntParameter(1, 12)
    if "thresholds" in strategies:
        space |= {
            "space": ChoiceParameter(("raw", "projected")),
            "quantile": FloatParameter(0.05, 0.3),
            "threshold_shrinkage": FloatParameter(0.0, 1.0),
            "size_penalty": FloatParameter(0.0, 1.0),
            "minimum": IntParameter(1, 3),
        }
    return space


def warm_starts(active: Recipe | None) -> list[dict[str, Any]]:
    """Where to look first: strong settings of each kind, and the recipe that serves now."""
    medoids = {"strategy": "medoids", "medoids": 3}
    thresholds = {
        "strategy": "thresholds",
        "space": "projected",
        "quantile": 0.3,
        "threshold_shrinkage": 0.5,
        "size_penalty": 0.05,
        "minimum": 1,
    }
    starts: list[dict[str, Any]] = [
        {**LDA, **medoids},
        {**LDA, **medoids, "medoids": 1},
        {**LDA, **medoids, "head": "proxy", "steps": 200, "medoids": 8},
        {**LDA, **medoids, "head": "proxy", "steps": 50},
        {**LDA, **medoids, "pull": 0.5, "medoids": 12},
        {**LDA, **medoids, "cleaning": "modelled", "pull": 0.5, "medoids": 6},
        {**LDA, **medoids, "head": "within", "medoids": 5},
        {**LDA, **thresholds},
        {**LDA, **thresholds, "cleaning": "modelled"},
        {**LDA, **thresholds, "head": "none", "pull": 0.0, "space": "raw"},
    ]
    return ([active.as_dict()] if active else []) + starts


def steady_recipe(request: OptimiseRequest) -> Recipe:
    """`STEADY`, as far as the request leaves it open; who asks for all references gets all, doubted ones too."""
    asked: dict[str, Any] = {"strategy": "medoids" if "medoids" in request.strategies else request.strategies[0]}
    asked["neighbours"] = None if None in request.voters else request.voters[0]
    if request.head != "auto":
        asked["head"] = request.head
    if asked["strategy"] == "thresholds":
        asked["space"] = "projected"
    if request.strategy == "all":
        asked["cleaning"] = "none"
    return recipe_of({**STEADY, **asked}, request)


def recipe_of(parameters: Mapping[str, Any], request: OptimiseRequest) -> Recipe:
    """The recipe that a trial's parameters stand for."""
    strategy = {} if len(request.strategies) > 1 else {"strategy": request.strategies[0]}
    recipe = Recipe.from_dict({**parameters, **strategy, "maximum": request.budget})
    return recipe if recipe.neighbours is None else replace(recipe, per_label=1)


def study_key(split_hash: str, request: OptimiseRequest, phase: str) -> str:
    """Names a study by all that it depends on, so that only the same search resumes it."""
    asked = json.dumps([SEARCH_VERSION, split_hash, request.as_dict(), phase], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _leader(finished: Sequence[Trial]) -> Trial | None:
    return max(finished, key=lambda trial: trial.value) if finished else None


def search_recipe(
    search: ParameterSearch,
    fitter: CrossFitter,
    request: OptimiseRequest,
    *,
    trials: int,
    active: Recipe | None,
    finished: Sequence[Trial] = (),
    on_trial: OnTrial = lambda _: None,
) -> Recipe:
    """The recipe that cross-fitting likes best, its temperature fitted. `fitter` needs two folds at least."""
    space = parameter_space(request)
    leader = _leader(finished)
    before = None if leader is None else recipe_of(leader.parameters, request)
    race = RecipeRace(fitter, request.metric, steady_recipe(request), before)
    best = search.maximise(
        space,
        lambda parameters: race.value(recipe_of(parameters, request)),
        trials=trials,
        seed=request.seed,
        warm_start=_starts(request, space, active),
        finished=finished,
        on_trial=on_trial,
    )
    # As many as were asked for: a nested search makes fewer, and stands for one that makes them all.
    return calibrated(fitter, race.winner(recipe_of(best.parameters, request), request.trials))


def _starts(request: OptimiseRequest, space: Mapping[str, Parameter], active: Recipe | None) -> list[Mapping[str, Any]]:
    """The warm starts as this space knows them, each once; with the head that was asked for, where one was."""
    starts: list[Mapping[str, Any]] = []
    for start in warm_starts(active):
        if start["strategy"] not in request.strategies:
            continue
        asked = start if request.head == "auto" else {**start, "head": request.head}
        cut = {name: value for name, value in asked.items() if name in space}
        if _inside(cut, space) and cut not in starts:
            starts.append(cut)
    return starts


def _inside(start: Mapping[str, Any], space: Mapping[str, Parameter]) -> bool:
    """A start with a choice that is not open, or a number that lies outside the space, is none."""
    for name, value in start.items():
        parameter = space[name]
        if isinstance(parameter, ChoiceParameter):
            if value not in parameter.choices:
                return False
        elif not parameter.low <= value <= parameter.high:
            return False
    return True


def check_searchable(request: OptimiseRequest, classes: int) -> None:
    """Raises InvalidInput when thresholds are to be searched one by one over more classes than a sampler can handle."""
    if request.search == "thresholds" and classes > MAX_SEARCHED_CLASSES:
        raise InvalidInput(
            f"search 'thresholds' has one parameter a class and takes at most {MAX_SEARCHED_CLASSES} classes; "
            f"this catalogue has {classes}: use the search 'sweep'",
            classes=classes,
        )


def search_thresholds(
    search: ParameterSearch,
    fitter: CrossFitter,
    request: OptimiseRequest,
    swept: Recipe,
    *,
    finished: Sequence[Trial] = (),
    on_trial: OnTrial = lambda _: None,
) -> Recipe:
    """Each class's share as a parameter, starting from the sweep's (`swept.class_shares`).

    Raises InvalidInput for more classes than a sampler can handle.
    """
    shares = dict(swept.class_shares or {})
    check_searchable(request, len(shares))
    names = sorted(shares)
    ceiling = max(0.5, *shares.values())
    leader = _leader(finished)
    before = None if leader is None else _with_shares(swept, names, leader.parameters)
    race = RecipeRace(fitter, request.metric, swept, before)
    best = search.maximise(
        {f"share_{index}": FloatParameter(0.0, ceiling) for index in range(len(names))},
        lambda parameters: race.value(_with_shares(swept, names, parameters)),
        trials=request.trials,
        seed=request.seed,
        warm_start=[{f"share_{index}": shares[name] for index, name in enumerate(names)}],
        finished=finished,
        on_trial=on_trial,
    )
    return calibrated(fitter, race.winner(_with_shares(swept, names, best.parameters), request.trials))


def _with_shares(recipe: Recipe, names: Sequence[str], parameters: Mapping[str, Any]) -> Recipe:
    return replace(recipe, class_shares={name: parameters[f"share_{index}"] for index, name in enumerate(names)})


def calibrated(fitter: CrossFitter, recipe: Recipe) -> Recipe:
    """The recipe with the temperature that its cross-fitted answers call for."""
    scores = fitter.run(recipe).scores
    judged = np.isfinite(scores).any(axis=1)
    return replace(recipe, temperature=fit_temperature(scores[judged], fitter.data.codes[judged], recipe.temperature))
