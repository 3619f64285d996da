"""Which recipe a search ends with: one that is better beyond luck, or the one that holds everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.core.crossfit import CrossFit, CrossFitter
from service.core.recipe import Recipe
from service.usecases.recipe_race import RecipeRace
from tests.core.clusters import clusters

PICTURES = 40
STEADY = Recipe(strategy="medoids", head="lda", pull=1.0, medoids=1)
OTHER = replace(STEADY, shrinkage=0.4)


class Told(CrossFitter):
    """Answers as it is told: how many pictures, from the first on, each recipe has right."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rights: dict[Recipe, int] = {}

    def run(self, recipe):
        right = np.arange(len(self.data)) < self.rights[recipe]
        asked, scores = np.ones(len(right), bool), np.zeros((len(right), 4), np.float32)
        return CrossFit(references=4.0, support=float(len(right)), asked=asked, right=right, scores=scores)

    def answered(self, recipe, stop):
        return self.run(recipe)


def race(steady: int, other: int) -> RecipeRace:
    fitter = Told(clusters([10] * 4), 0)
    fitter.rights = {STEADY: steady, OTHER: other}
    return RecipeRace(fitter, "accuracy", STEADY)


@pytest.mark.parametrize(
    ("steady", "other", "trials", "wins"),
    [
        # 3 of 40 better: 0.075 ahead, the paired difference's standard error is sqrt(0.075 * 0.925 / 40) = 0.0416.
        (30, 33, 40, False),  # luck of forty trials: 1.96 errors, 0.0816
        (30, 33, 10, True),  # of ten: 1.28 errors, 0.0534
        (30, 36, 40, True),  # 0.15 ahead, error 0.0565: 2.66 errors
        (30, 30, 40, False),
        (33, 30, 40, False),
    ],
)
def test_the_lead_has_to_be_more_than_the_luck_of_so_many_trials(
    steady: int, other: int, trials: int, wins: bool
) -> None:
    found = race(steady, other)
    found.value(OTHER)
    assert found.winner(OTHER, trials) == (OTHER if wins else STEADY)


def test_macro_f1_counts_a_picture_of_a_small_class_for_more_and_so_does_its_luck() -> None:
    """One of two pictures of the small class more: 0.24 of macro F1, and an accident all the same."""

    class Balanced(Told):
        def run(self, recipe):
            scores = np.zeros((len(self.data), 2), np.float32)
            named = self.data.codes.copy()
            named[-2:] = [0, 1] if recipe == OTHER else [0, 0]
            scores[np.arange(len(named)), named] = 1.0
            right = named == self.data.codes
            asked = np.ones(len(right), bool)
            return CrossFit(references=2.0, support=float(len(right)), asked=asked, right=right, scores=scores)

    found = RecipeRace(Balanced(clusters([38, 2]), 0), "macro_f1", STEADY)
    assert found.value(OTHER) > 0.75 > 0.55 > found.value(STEADY)
    assert found.winner(OTHER, 40) == STEADY


def test_a_search_of_one_trial_has_no_luck_to_allow_for() -> None:
    found = race(30, 31)
    found.value(OTHER)
    assert found.winner(OTHER, 1) == OTHER


def test_among_equals_fewer_references_and_stronger_pulls_are_worth_more() -> None:
    """Classes so far apart that everything answers rightly."""
    found = RecipeRace(CrossFitter(clusters([12] * 3, noise=0.02), 0), "accuracy", replace(STEADY, medoids=8, pull=0.5))
    fewer = found.value(replace(STEADY, medoids=1, pull=0.5))
    assert found.value(replace(STEADY, medoids=4, pull=0.5)) < fewer < found.value(replace(STEADY, medoids=1, pull=0.9))
    assert found.winner(OTHER, 40) == OTHER, "no picture is answered otherwise, so no luck is in it"


def test_the_steady_recipes_answers_are_there_when_it_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    fitter = CrossFitter(clusters([12] * 3), 0)
    found = RecipeRace(fitter, "accuracy", STEADY)
    found.value(OTHER)
    monkeypatch.setattr(CrossFitter, "_run", None)  # nothing is answered again
    assert fitter.run(STEADY).scores.shape == (36, 3)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_what_was_best_before_is_the_leader_of_a_resumed_search(metric: str) -> None:
    data = clusters([20] * 4, noise=0.5)
    poor = Recipe(strategy="all")
    fresh, resumed = (RecipeRace(CrossFitter(data, 0), metric, poor, before) for before in (None, STEADY))
    fresh.value(STEADY)
    assert fresh.value(OTHER) == resumed.value(OTHER)
    assert fresh.winner(STEADY, 40) == resumed.winner(STEADY, 40)
