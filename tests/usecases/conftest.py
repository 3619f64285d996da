"""What tests of use cases share."""

from __future__ import annotations

import pytest

from service.usecases.recipe_race import RecipeRace


@pytest.fixture
def what_is_found_is_taken(monkeypatch) -> None:
    """Takes the best trial of a search, luck or not: `FixedSearch` finds what a test is about."""
    monkeypatch.setattr(RecipeRace, "winner", lambda _, best, trials: best)
