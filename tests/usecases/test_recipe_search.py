"""The search over recipes, with a search by luck and with the real one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.adapters.optuna_search import OptunaSearch
from service.core.crossfit import CrossFitter
from service.core.evaluation import evaluate
from service.core.model import LabelledEmbeddings
from service.core.pipeline import build
from service.core.recipe import Recipe
from service.core.voting import confidences
from service.errors import InvalidInput
from service.ports import ChoiceParameter, FloatParameter, IntParameter, ParameterSearch
from service.records import Trial
from service.usecases import recipe_search as module
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.recipe_search import (
    MAX_SEARCHED_CLASSES,
    calibrated,
    parameter_space,
    recipe_of,
    search_recipe,
    search_thresholds,
    steady_recipe,
    study_key,
    warm_starts,
)
from tests.core.clusters import clusters, labelled
from tests.fakes import FakeSearch

SEARCHES = [pytest.param(FakeSearch(), id="luck"), pytest.param(OptunaSearch(), id="optuna")]


def loud(sizes: list[int], seed: int = 0, draw: int = 0) -> LabelledEmbeddings:
    """Classes whose raw cosine loud noise decides: a head is worth a lot."""
    data = clusters(sizes, width=6, noise=0.25, seed=seed, draw=draw)
    noise = np.random.default_rng([seed, draw, 9]).standard_normal((len(data), 4)) * 0.8
    rows = np.hstack([data.embeddings, noise])
    return labelled(rows / np.linalg.norm(rows, axis=1, keepdims=True), data.codes)


DATA = loud([14, 14, 14, 14])
NOBODY = DATA.take(np.zeros(0, dtype=np.int64))


def fitter(data: LabelledEmbeddings = DATA) -> CrossFitter:
    return CrossFitter(data, seed=0)


def value(recipe: Recipe, request: OptimiseRequest, data: LabelledEmbeddings = DATA) -> float:
    """What the search maximises, spelt out: accuracy minus a point for keeping everything."""
    crossfit = fitter(data).run(recipe)
    figures = evaluate(data.codes, crossfit.scores, data.classes)
    quality = {"accuracy": figures.accuracy, "macro_f1": figures.macro_f1}[request.metric]
    return quality - 0.01 * crossfit.references / crossfit.support - 0.01 * (1.0 - recipe.pull)


def found(search: ParameterSearch, request: OptimiseRequest, **options: Any) -> tuple[Recipe, list[Trial]]:
    trials: list[Trial] = []
    options = {"trials": 12, "active": None, **options}
    recipe = search_recipe(search, fitter(), request, on_trial=trials.append, **options)
    return recipe, trials


# --------------------------------------------------------------------------------------------------- the space


@pytest.mark.parametrize(
    ("asked", "named", "not_named"),
    [
        ({}, {"strategy", "medoids", "quantile", "size_penalty", "space", "head"}, set()),
        ({"strategy": "medoids"}, {"medoids", "head", "pull"}, {"strategy", "quantile", "space"}),
        ({"strategy": "thresholds"}, {"quantile", "minimum", "space"}, {"strategy", "medoids"}),
        ({"strategy": "all"}, {"head", "shrinkage", "pull", "per_label"}, {"strategy", "medoids", "quantile"}),
        ({"search": "thresholds"}, {"quantile"}, {"strategy", "medoids"}),
    ],
)
def test_the_space_holds_what_the_request_leaves_open(asked, named: set[str], not_named: set[str]) -> None:
    space = parameter_space(OptimiseRequest(**asked))
    assert named <= set(space)
    assert not not_named & set(space)


def test_every_parameter_is_a_field_of_a_recipe() -> None:
    assert set(parameter_space(OptimiseRequest())) <= set(Recipe().as_dict())


def test_every_warm_start_lies_in_the_space() -> None:
    space = parameter_space(OptimiseRequest())
    for start in warm_starts(None):
        for name, number in start.items():
            match space[name]:
                case ChoiceParameter(choices):
                    assert number in choices
                case FloatParameter(low, high) | IntParameter(low, high):
                    assert low <= number <= high


@pytest.mark.parametrize("strategy", ["thresholds", "medoids", "all"])
def test_a_request_for_one_strategy_gets_it_and_its_budget(strategy: str) -> None:
    recipe = recipe_of({"head": "pca", "pull": 0.3}, OptimiseRequest(strategy=strategy, budget=4))
    assert (recipe.strategy, recipe.maximum, recipe.head, recipe.pull) == (strategy, 4, "pca", 0.3)


def test_a_study_is_named_by_all_that_it_depends_on() -> None:
    base = OptimiseRequest()
    keys = {
        study_key("splits", base, "search"),
        study_key("other splits", base, "search"),
        study_key("splits", base, "thresholds"),
        *(
            study_key("splits", replace(base, **change), "search")
            for change in ({"seed": 1}, {"budget": 3}, {"metric": "macro_f1"}, {"strategy": "all"}, {"trials": 9})
        ),
    }
    assert len(keys) == 8
    assert study_key("splits", OptimiseRequest(), "search") == study_key("splits", base, "search")


# -------------------------------------------------------------------------------------------------- the search


@pytest.mark.parametrize("search", SEARCHES)
def test_better_than_what_answers_before_any_optimisation(search: ParameterSearch) -> None:
    request = OptimiseRequest()
    recipe, trials = found(search, request)
    assert len(trials) == 12
    best = max(trials, key=lambda trial: trial.value)
    expected = {value(recipe_of(best.parameters, request), request), value(steady_recipe(request), request)}
    assert value(recipe, request) in expected, "the best trial's, or the one that it has to beat"
    assert value(recipe, request) > value(Recipe(), request) + 0.05
    assert best.value >= max(trial.value for trial in trials[: len(warm_starts(None))])


def test_a_search_that_finds_nothing_clearly_better_keeps_the_steady_recipe() -> None:
    """A pull that is a little stronger is no lead on 56 pictures."""
    recipe, trials = found(OptunaSearch(), OptimiseRequest(strategy="medoids"), trials=12)
    best = max(trial.value for trial in trials)
    steady = steady_recipe(OptimiseRequest())
    assert best > value(steady, OptimiseRequest())
    assert replace(recipe, temperature=steady.temperature) == steady


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"head": "within"}, {"head": "within", "strategy": "medoids", "cleaning": "modelled"}),
        ({"strategy": "thresholds"}, {"head": "lda", "strategy": "thresholds", "space": "projected"}),
        ({"strategy": "all"}, {"strategy": "all", "cleaning": "none"}),
        ({"budget": 2}, {"maximum": 2, "medoids": 3}),
        ({"vote": "knn", "neighbours": 5}, {"neighbours": 5}),
        ({"vote": "auto"}, {"neighbours": None}),
    ],
)
def test_the_steady_recipe_is_what_was_asked_for(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    steady = steady_recipe(OptimiseRequest(**asked)).as_dict()
    assert {name: steady[name] for name in expected} == expected
    assert steady["pull"] == 0.8


def test_among_equals_the_stronger_pull_wins() -> None:
    """Classes so far apart that every pull answers all of them."""
    data = clusters([12] * 4, noise=0.01)
    recipe = search_recipe(OptunaSearch(), CrossFitter(data, 0), OptimiseRequest(), trials=12, active=None)
    assert recipe.pull >= 0.8
    assert parameter_space(OptimiseRequest())["pull"] == FloatParameter(0.0, 0.95), "references stay apart"


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_trials_are_worth_what_cross_fitting_says(search: ParameterSearch, metric: str) -> None:
    data = loud([20, 14, 8, 8])
    request = OptimiseRequest(metric=metric)
    trials: list[Trial] = []
    search_recipe(search, CrossFitter(data, 0), request, trials=7, active=None, on_trial=trials.append)
    for trial in trials[::3]:
        assert trial.value == pytest.approx(value(recipe_of(trial.parameters, request), request, data))
        json.dumps(trial.parameters)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("strategy", ["thresholds", "medoids", "all", "auto"])
@pytest.mark.parametrize("budget", [1, 3])
def test_a_budget_is_honoured_by_every_strategy(search: ParameterSearch, strategy: str, budget: int) -> None:
    request = OptimiseRequest(strategy=strategy, budget=budget)
    recipe, _ = found(search, request, trials=6)
    assert recipe.maximum == budget
    assert strategy in (recipe.strategy, "auto")
    built = build(recipe, DATA, NOBODY, seed=0)
    assert np.bincount(built.data.codes[built.references]).max() <= budget


@pytest.mark.parametrize("search", SEARCHES)
def test_a_stopped_search_goes_on_where_it_was(search: ParameterSearch) -> None:
    request = OptimiseRequest(seed=4)
    whole, all_trials = found(search, request, trials=10)
    resumed, new = found(search, request, trials=10, finished=all_trials[:6])
    assert new == all_trials[6:], "finished trials are not run again, and the rest takes the same course"
    assert resumed == whole


@pytest.mark.parametrize("search", SEARCHES)
def test_a_finished_search_runs_nothing(search: ParameterSearch) -> None:
    request = OptimiseRequest()
    whole, trials = found(search, request, trials=8)
    again, new = found(search, request, trials=8, finished=trials)
    assert (again, new) == (whole, [])


def test_the_same_seed_finds_the_same() -> None:
    request = OptimiseRequest(seed=9)
    assert found(OptunaSearch(), request, trials=9) == found(OptunaSearch(), request, trials=9)


def test_what_serves_now_is_looked_at_first() -> None:
    active = Recipe(
        head="within", shrinkage=0.33, strategy="medoids", medoids=4, pull=0.77, per_label=2, quantile=0.2, maximum=5
    )
    _, trials = found(OptunaSearch(), OptimiseRequest(), trials=1, active=active)
    first = trials[0].parameters
    space = parameter_space(OptimiseRequest())
    assert {name: first[name] for name in space} == {name: active.as_dict()[name] for name in space}


@pytest.mark.parametrize("head", ["proxy", "centre", "none"])
def test_a_head_that_was_asked_for_is_the_only_one_tried(head) -> None:
    recipe, trials = found(FakeSearch(), OptimiseRequest(head=head))
    assert recipe.head == head
    assert {trial.parameters["head"] for trial in trials} == {head}
    assert len({json.dumps(dict(trial.parameters), sort_keys=True) for trial in trials}) == len(trials)


def test_an_active_recipe_outside_the_space_is_no_start() -> None:
    """All references served until now: that strategy is not what "auto" chooses between."""
    _, trials = found(OptunaSearch(), OptimiseRequest(), trials=1, active=Recipe(shrinkage=0.33))
    assert trials[0].parameters["head"] == warm_starts(None)[0]["head"]
    assert trials[0].parameters["shrinkage"] != 0.33


@pytest.mark.parametrize("sizes", [[2, 2, 2], [3, 3], [6], [9, 2, 1]])
def test_thin_catalogues_are_searched_too(sizes: list[int]) -> None:
    data = clusters(sizes, noise=0.2)
    recipe = search_recipe(OptunaSearch(), CrossFitter(data, 0), OptimiseRequest(), trials=6, active=None)
    built = build(recipe, data, data.take(np.zeros(0, dtype=np.int64)), seed=0)
    assert set(built.data.codes[built.references].tolist()) == set(range(len(sizes)))


# ------------------------------------------------------------------------------------- thresholds one by one


def swept_recipe(request: OptimiseRequest) -> Recipe:
    recipe = recipe_of(
        {"head": "lda", "shrinkage": 0.2, "pull": 0.2, "quantile": 0.3, "size_penalty": 0.1, "space": "projected"},
        request,
    )
    return build(recipe, DATA, NOBODY, seed=0).recipe


@pytest.mark.parametrize("search", SEARCHES)
def test_thresholds_one_by_one_are_no_worse_than_the_sweep_they_start_from(search: ParameterSearch) -> None:
    request = OptimiseRequest(search="thresholds", trials=15)
    swept = swept_recipe(request)
    trials: list[Trial] = []
    recipe = search_thresholds(search, fitter(), request, swept, on_trial=trials.append)
    assert len(trials) == 15
    assert trials[0].value == pytest.approx(value(swept, request)), "the sweep's shares are tried first"
    assert value(recipe, request) == pytest.approx(max(trial.value for trial in trials))
    assert value(recipe, request) >= value(swept, request)
    assert set(recipe.class_shares) == set(DATA.classes)
    assert replace(recipe, class_shares=None, temperature=0.05) == replace(swept, class_shares=None, temperature=0.05)


def test_thresholds_improve_on_a_bad_start_where_pictures_are_many_enough_to_tell() -> None:
    request = OptimiseRequest(search="thresholds", trials=40)
    bad = replace(swept_recipe(request), pull=0.0, head="none", class_shares=None)
    swept = replace(bad, class_shares=dict.fromkeys(HARD.classes, 0.01))
    recipe = search_thresholds(OptunaSearch(), fitter(HARD), request, swept)
    assert value(recipe, request, HARD) > value(swept, request, HARD) + 0.01
    few = replace(swept_recipe(request), pull=0.0, class_shares=dict.fromkeys(DATA.classes, 0.05))
    kept = search_thresholds(OptunaSearch(), fitter(), request, few)
    assert kept.class_shares == few.class_shares, "a lead on 56 pictures may be luck"


def test_the_search_of_thresholds_resumes() -> None:
    request = OptimiseRequest(search="thresholds", trials=9)
    swept = swept_recipe(request)
    trials, new = [], []
    whole = search_thresholds(OptunaSearch(), fitter(), request, swept, on_trial=trials.append)
    resumed = search_thresholds(OptunaSearch(), fitter(), request, swept, finished=trials[:5], on_trial=new.append)
    assert (resumed, new) == (whole, trials[5:])


def test_a_budget_holds_for_searched_thresholds() -> None:
    request = OptimiseRequest(search="thresholds", trials=6, budget=2)
    recipe = search_thresholds(OptunaSearch(), fitter(), request, swept_recipe(request))
    built = build(recipe, DATA, NOBODY, seed=0)
    assert np.bincount(built.data.codes[built.references]).max() <= 2


class NoSearch:
    """Fails when it is used."""

    def maximise(self, *_: Any, **__: Any) -> Trial:
        raise AssertionError("nothing should have been searched")


def test_more_classes_than_a_sampler_can_handle_are_refused_before_anything_runs() -> None:
    shares = {f"c{number:03}": 0.3 for number in range(MAX_SEARCHED_CLASSES + 1)}
    swept = Recipe(strategy="thresholds", class_shares=shares)
    with pytest.raises(
        InvalidInput, match=r"at most 100 classes; this catalogue has 101: use the search 'sweep'"
    ) as caught:
        search_thresholds(NoSearch(), fitter(), OptimiseRequest(search="thresholds"), swept)
    assert caught.value.details == {"classes": 101}


def test_a_hundred_classes_can_be_searched_and_a_sweep_asks_no_limit() -> None:
    module.check_searchable(OptimiseRequest(search="thresholds"), MAX_SEARCHED_CLASSES)
    module.check_searchable(OptimiseRequest(), 10_000)


# ------------------------------------------------------------------------------------------------ temperature


def test_the_temperature_is_fitted_on_answers_out_of_fold() -> None:
    data = loud([30] * 4)
    recipe = calibrated(CrossFitter(data, 0), Recipe(head="lda", shrinkage=0.1, pull=0.5))
    assert recipe.temperature != Recipe().temperature
    scores = CrossFitter(data, 0).run(recipe).scores
    right = scores.argmax(axis=1) == data.codes
    assert confidences(scores, recipe.temperature).mean() == pytest.approx(right.mean(), abs=0.05)


def test_too_few_answers_keep_the_temperature() -> None:
    recipe = calibrated(CrossFitter(clusters([3, 3]), 0), Recipe(temperature=0.07))
    assert recipe.temperature == 0.07


HARD = loud([60] * 8, seed=3)
"""Enough pictures that a bad recipe is behind beyond doubt after one fold."""


class Rounds(CrossFitter):
    """Counts how many folds each recipe was judged on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.judged: list[int] = []

    def answered(self, recipe, stop):
        found = super().answered(recipe, stop)
        self.judged.append(len(np.unique(self.fold_of[found.asked])))
        return found


def test_a_trial_that_is_behind_beyond_doubt_is_not_judged_to_the_end() -> None:
    """It is told at its first folds, for what it is behind there; the winner is the one that full judging finds."""
    rounds = Rounds(HARD, seed=0)
    request = OptimiseRequest(strategy="medoids", trials=12)
    told: list[Trial] = []
    search_recipe(OptunaSearch(), rounds, request, trials=12, active=None, on_trial=told.append)
    judged = rounds.judged  # but for the steady recipe, which goes first, with its scores
    assert min(judged) < 5, "raw embeddings are hopeless here"
    best = max(told, key=lambda trial: trial.value)
    for trial, folds in zip(told, judged, strict=True):
        full = value(recipe_of(trial.parameters, request), request, HARD)
        if folds == 5:
            assert trial.value == pytest.approx(full)
        else:
            assert trial.value < best.value - 0.02
            assert trial.value == pytest.approx(full, abs=0.1), "an estimate of what full judging says"
            assert full < best.value


def test_a_resumed_race_takes_the_course_of_one_that_was_not_stopped() -> None:
    request = OptimiseRequest(strategy="medoids", trials=10)
    whole: list[Trial] = []
    search_recipe(OptunaSearch(), CrossFitter(HARD, 0), request, trials=10, active=None, on_trial=whole.append)
    rest: list[Trial] = []
    search_recipe(
        OptunaSearch(), CrossFitter(HARD, 0), request, trials=10, active=None, finished=whole[:6], on_trial=rest.append
    )
    assert [trial.value for trial in rest] == pytest.approx([trial.value for trial in whole[6:]])
