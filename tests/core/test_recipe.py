from __future__ import annotations

import json
from dataclasses import fields
from typing import get_args

import pytest

from service.core.recipe import STRATEGIES, Recipe, Strategy

CHANGED = Recipe(
    head="lda",
    shrinkage=0.4,
    steps=50,
    cleaning="modelled",
    strategy="thresholds",
    space="projected",
    quantile=0.1,
    threshold_shrinkage=0.9,
    size_penalty=0.3,
    minimum=2,
    maximum=7,
    medoids=4,
    per_label=3,
    neighbours=7,
    pull=0.6,
    temperature=0.02,
    class_shares={"mug": 0.25, "Ä ö": 1.0},
)


@pytest.mark.parametrize("recipe", [Recipe(), CHANGED])
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_every_field_is_in_the_round_trip_above() -> None:
    plain, changed = Recipe().as_dict(), CHANGED.as_dict()
    assert set(plain) == {field.name for field in fields(Recipe)}
    assert [name for name in plain if plain[name] == changed[name]] == []


def test_keys_of_newer_versions_are_left_out_and_missing_ones_have_defaults() -> None:
    assert Recipe.from_dict({"pull": 0.5, "invented_later": [1, 2]}) == Recipe(pull=0.5)


def test_the_default_is_every_picture_on_the_raw_embedding() -> None:
    recipe = Recipe()
    assert (recipe.head, recipe.strategy, recipe.pull, recipe.per_label, recipe.cleaning) == (
        "none",
        "all",
        0,
        1,
        "none",
    )


def test_the_listed_strategies_are_the_typed_ones() -> None:
    assert get_args(Strategy) == STRATEGIES
