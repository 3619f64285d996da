from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from service.errors import InvalidInput
from service.usecases.optimise_request import DEFAULT_TRIALS, OptimiseRequest

CHANGED = OptimiseRequest(
    budget=3,
    metric="macro_f1",
    strategy="thresholds",
    head="proxy",
    vote="knn",
    neighbours=5,
    search="thresholds",
    rejection="class",
    trials=7,
    seed=11,
    refit=False,
)


@pytest.mark.parametrize("request_", [OptimiseRequest(), CHANGED])
def test_a_request_survives_json(request_: OptimiseRequest) -> None:
    assert OptimiseRequest.from_dict(json.loads(json.dumps(request_.as_dict()))) == request_


def test_every_field_is_in_the_round_trip_above() -> None:
    plain, changed = OptimiseRequest().as_dict(), CHANGED.as_dict()
    assert set(plain) == {field.name for field in fields(OptimiseRequest)}
    assert [name for name in plain if plain[name] == changed[name]] == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"budget": 0}, "the budget is 0 references a class; at least 1 is needed"),
        ({"budget": -3}, "the budget is -3"),
        ({"neighbours": 0}, "0 neighbours shall vote; 1 to 1000 can"),
        ({"vote": "most"}, "vote 'most' is unknown; known are best, nearest, knn, auto"),
        ({"trials": 0}, "0 trials were asked for; 1 to 100000"),
        ({"trials": 100_001}, "100001 trials"),
        ({"seed": -1}, "the seed is -1"),
        ({"seed": 2**32}, "the seed is 4294967296"),
        ({"metric": "f1"}, "metric 'f1' is unknown; known are accuracy, macro_f1"),
        ({"strategy": "best"}, "strategy 'best' is unknown; known are thresholds, medoids, all, auto"),
        ({"head": "svm"}, "head 'svm' is unknown; known are none, pca, lda, within, proxy, triplet"),
        ({"search": "grid"}, "search 'grid' is unknown; known are sweep, thresholds"),
        ({"search": "thresholds", "strategy": "medoids"}, "needs strategy 'thresholds', not 'medoids'"),
        ({"search": "thresholds", "strategy": "all"}, "needs strategy 'thresholds', not 'all'"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_numbers(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        OptimiseRequest(**wrong)
    assert said in caught.value.message


@pytest.mark.parametrize("edge", [{"budget": 1}, {"trials": 1}, {"trials": 100_000}, {"seed": 0}, {"seed": 2**32 - 1}])
def test_the_edges_can_be_asked(edge: dict[str, Any]) -> None:
    assert OptimiseRequest(**edge).as_dict() == {**OptimiseRequest().as_dict(), **edge}


@pytest.mark.parametrize(
    ("asked", "strategies"),
    [
        ({}, ("thresholds", "medoids")),
        ({"strategy": "all"}, ("all",)),
        ({"strategy": "medoids"}, ("medoids",)),
        ({"search": "thresholds"}, ("thresholds",)),
        ({"search": "thresholds", "strategy": "thresholds"}, ("thresholds",)),
    ],
)
def test_what_the_choice_is_between(asked: dict[str, Any], strategies: tuple[str, ...]) -> None:
    assert OptimiseRequest(**asked).strategies == strategies


def test_the_default_is_what_the_command_line_promises() -> None:
    request = OptimiseRequest()
    assert (request.budget, request.metric, request.strategy, request.search) == (None, "accuracy", "auto", "sweep")
    assert (request.trials, request.seed, request.refit) == (DEFAULT_TRIALS, 0, True)


@pytest.mark.parametrize(
    ("vote", "voters"), [("best", (None,)), ("nearest", (None,)), ("knn", (5,)), ("auto", (None, 5))]
)
def test_who_may_vote(vote: Any, voters: tuple[int | None, ...]) -> None:
    assert OptimiseRequest(vote=vote, neighbours=5).voters == voters
