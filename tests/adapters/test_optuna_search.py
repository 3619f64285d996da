import math
from collections.abc import Mapping
from typing import Any

import optuna
import pytest

from service.adapters.optuna_search import OptunaSearch
from service.errors import InvalidInput
from service.ports import ChoiceParameter, FloatParameter, IntParameter, Parameter
from service.records import Trial

LINE: Mapping[str, Parameter] = {"x": FloatParameter(-4.0, 4.0), "y": FloatParameter(-4.0, 4.0)}
MIXED: Mapping[str, Parameter] = {
    "scale": FloatParameter(1e-4, 1.0, log=True),
    "count": IntParameter(1, 9),
    "head": ChoiceParameter((None, "lda", "pca", True, 2)),
}


def quadratic(parameters: Mapping[str, Any]) -> float:
    return -((parameters["x"] - 1.0) ** 2) - (parameters["y"] + 2.0) ** 2


def mixed(parameters: Mapping[str, Any]) -> float:
    bonus = {None: 0.0, "lda": 3.0, "pca": 1.0, True: 0.5, 2: 0.2}[parameters["head"]]
    return bonus - abs(parameters["count"] - 7) - abs(math.log10(parameters["scale"]) + 2)


def run(space=LINE, objective=quadratic, **arguments):
    """The best trial and the new ones, in order."""
    seen: list[Trial] = []
    arguments = {"trials": 20, "seed": 3, **arguments}
    best = OptunaSearch().maximise(space, objective, on_trial=seen.append, **arguments)
    return best, seen


def test_a_quadratic_is_climbed():
    best, seen = run(trials=60)
    assert len(seen) == 60
    assert best == max(seen, key=lambda trial: trial.value)
    assert best.value == quadratic(best.parameters)
    assert best.value > -0.3, f"60 trials should come near (1, -2), got {best}"
    random_phase = max(trial.value for trial in seen[:10])
    assert best.value > random_phase, "nothing was learnt after the random phase"


def test_a_mixed_space_keeps_types_and_bounds():
    best, seen = run(MIXED, mixed, trials=60)
    assert best.parameters["head"] == "lda"
    assert best.parameters["count"] in (6, 7, 8)
    for trial in seen:
        assert list(trial.parameters) == list(MIXED)
        assert type(trial.parameters["count"]) is int
        assert 1e-4 <= trial.parameters["scale"] <= 1.0
        assert any(trial.parameters["head"] is choice for choice in (None, "lda", "pca", True, 2))


def test_the_same_seed_takes_the_same_course_and_another_another():
    assert run(seed=5)[1] == run(seed=5)[1]
    assert run(seed=5)[1] != run(seed=6)[1]


@pytest.mark.parametrize("stopped_after", [1, 7, 19])
def test_a_resumed_study_takes_the_course_of_one_that_was_not_stopped(stopped_after):
    starts = [{"x": 0.5}, {"x": 2.0, "y": -1.0}]
    best, whole = run(warm_start=starts)
    resumed_best, rest = run(warm_start=starts, finished=whole[:stopped_after])
    assert rest == whole[stopped_after:]
    assert resumed_best == best


def test_the_best_may_be_a_finished_trial():
    treasure = Trial(parameters={"x": 1.0, "y": -2.0}, value=0.0)
    best, new = run(trials=3, finished=[treasure])
    assert best == treasure
    assert len(new) == 2


def test_nothing_runs_when_all_trials_are_finished():
    _, seen = run(trials=4)
    best, new = run(trials=4, finished=seen, objective=lambda _: pytest.fail("a finished trial was run again"))
    assert not new
    assert best == max(seen, key=lambda trial: trial.value)


def test_warm_starts_come_first_and_what_they_leave_out_is_sampled():
    _, seen = run(trials=5, warm_start=[{"x": 1.25, "y": 0.5}, {"x": -3.0}, {"x": 1.25, "y": 0.5}])
    assert seen[0].parameters == {"x": 1.25, "y": 0.5}
    assert seen[1].parameters["x"] == -3.0
    assert -4.0 <= seen[1].parameters["y"] <= 4.0
    assert seen[2].parameters["x"] not in (1.25, -3.0), "a warm start was run twice"


def test_values_that_do_not_fit_the_space_are_sampled_instead():
    start = {"scale": 5.0, "count": 3, "head": "unknown", "gone": 1}
    _, seen = run(MIXED, mixed, trials=2, warm_start=[start])
    assert seen[0].parameters["count"] == 3
    assert seen[0].parameters["scale"] <= 1.0


def test_finished_trials_of_another_space_do_not_count():
    strange = [Trial({"x": 9.0, "y": 0.0}, 99.0), Trial({"x": 0.0}, 99.0)]
    best, new = run(trials=3, finished=strange)
    assert len(new) == 3
    assert best.value < 99.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_objective_that_is_no_number_is_an_error(value):
    with pytest.raises(ValueError, match="finite"):
        run(objective=lambda _: value)


def test_an_empty_search_is_refused():
    with pytest.raises(InvalidInput, match="0 and 20"):
        run(space={})
    with pytest.raises(InvalidInput, match="2 and 0"):
        run(trials=0)


def test_optuna_says_nothing(capsys):
    run(trials=3)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
