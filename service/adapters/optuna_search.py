"""The ParameterSearch port over Optuna: TPE in memory, one seed a trial, so that a resumed study goes the same way.

Source: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011 (TPE); Optuna's multivariate form.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import InvalidInput
from service.ports import ChoiceParameter, FloatParameter, IntParameter, Parameter
from service.records import Trial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

# Optuna takes 0.3 s to import, and most commands never search: the functions below import it.

MULTIVARIATE_PARAMETERS = (2, 24)
"""Joint densities find interactions of a few parameters; over many (one threshold a class) they thin out."""


class OptunaSearch:
    """Tree-structured Parzen estimators. Safe to use from several threads: every call has a study of its own."""

    def maximise(
        self,
        space: Mapping[str, Parameter],
        objective: Callable[[Mapping[str, Any]], float],
        *,
        trials: int,
        seed: int,
        warm_start: Sequence[Mapping[str, Any]] = (),
        finished: Sequence[Trial] = (),
        on_trial: Callable[[Trial], None] = lambda _: None,
    ) -> Trial:
        """The best of `trials` trials, `finished` ones included; the first of equals.

        A trial depends on the seed and the trials before it only, so a study that was stopped and resumed with what it
        had finished takes the same course as one that was not. Finished trials and values of warm starts that do not
        fit the space (it changed) are left out. `on_trial` is called for new trials only.

        Raises:
            InvalidInput: nothing to search, or fewer than one trial.
            ValueError: the objective returned a number that is not finite.
        """
        if not space or trials < 1:
            raise InvalidInput(f"a search needs a parameter and a trial, got {len(space)} and {trials}")
        known = [trial for trial in finished if _fits(space, trial.parameters)]
        _quieten()
        study = _study(space, known, [_fitting(space, start) for start in warm_start])
        for number in range(len(known), trials):
            study.sampler = _sampler(len(space), seed, number)
            known.append(_run(study, space, objective))
            on_trial(known[-1])
        return max(known, key=lambda trial: trial.value)


def _run(study: Study, space: Mapping[str, Parameter], objective: Callable[[Mapping[str, Any]], float]) -> Trial:
    asked = study.ask({name: _distribution(parameter) for name, parameter in space.items()})
    told = asked.params  # a deep copy every time
    parameters = {name: told[name] for name in space}
    value = float(objective(parameters))
    if not math.isfinite(value):
        raise ValueError(f"the objective must be a finite number, got {value} at {parameters}")
    study.tell(asked, value)
    return Trial(parameters=parameters, value=value)


def _study(space: Mapping[str, Parameter], known: Sequence[Trial], starts: Sequence[Mapping[str, Any]]) -> Study:
    """A study in memory that knows the finished trials, with the warm starts they do not cover queued."""
    import optuna

    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), direction="maximize")
    distributions = {name: _distribution(parameter) for name, parameter in space.items()}
    for trial in known:
        parameters = {name: trial.parameters[name] for name in space}
        study.add_trial(optuna.trial.create_trial(params=parameters, distributions=distributions, value=trial.value))
    for start in _to_do(starts, known):
        study.enqueue_trial(dict(start))
    return study


def _to_do(starts: Sequence[Mapping[str, Any]], known: Sequence[Trial]) -> list[Mapping[str, Any]]:
    """The warm starts, each once, that no finished trial agrees with in all they give."""
    remaining: list[Mapping[str, Any]] = []
    for start in starts:
        done = any(all(trial.parameters[name] == start[name] for name in start) for trial in known)
        if start and not done and start not in remaining:
            remaining.append(start)
    return remaining


def _sampler(parameters: int, seed: int, number: int) -> BaseSampler:
    """The sampler of one trial: its own stream of random numbers, drawn from the seed and the trial's number."""
    import optuna

    low, high = MULTIVARIATE_PARAMETERS
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=own_seed, multivariate=low <= parameters <= high, constant_liar=False)


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter:
        case FloatParameter(low, high, log):
            return FloatDistribution(low, high, log=log)
        case IntParameter(low, high):
            return IntDistribution(low, high)
        case ChoiceParameter(choices):
            return CategoricalDistribution(choices)


def _fits(space: Mapping[str, Parameter], parameters: Mapping[str, Any]) -> bool:
    return len(_fitting(space, parameters)) == len(space)


def _fitting(space: Mapping[str, Parameter], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that the space can hold."""
    return {name: value for name, value in parameters.items() if name in space and _holds(space[name], value)}


def _holds(parameter: Parameter, value: object) -> bool:
    match parameter:
        case ChoiceParameter(choices):
            return any(type(choice) is type(value) and choice == value for choice in choices)
        case FloatParameter(low, high):
            return isinstance(value, int | float) and low <= value <= high
        case IntParameter(low, high):
            return isinstance(value, int) and low <= value <= high


def _quieten() -> None:
    """No log line a trial, no warning that the multivariate form may change (before Optuna 5).

    For good and for the process: `warnings.catch_warnings` is not safe where several threads run.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    experimental = optuna.exceptions.ExperimentalWarning
    warnings.filterwarnings("ignore", message="Argument ``multivariate``", category=experimental)
