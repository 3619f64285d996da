"""Search over parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from service.records import Trial


@dataclass(frozen=True, slots=True)
class FloatParameter:
    """A real number within [low, high]; `log` for scale parameters."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class IntParameter:
    """A whole number within [low, high]."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ChoiceParameter:
    """One of the given JSON scalars."""

    choices: tuple[str | int | float | bool | None, ...]


Parameter = FloatParameter | IntParameter | ChoiceParameter


class ParameterSearch(Protocol):
    """Bayesian optimisation over a few parameters."""

    def maximise(
        self,
        space: Mapping[str, Parameter],
        objective: Callable[[Mapping[str, Any]], float],
        *,
        trials: int,
        seed: int,
        warm_start: Sequence[Mapping[str, Any]] = (),
        finished: Sequence[Trial] = (),
        on_trial: Callable[[Trial], None] = lambda _trial: None,
    ) -> Trial:
        """The best of `trials` trials, `finished` ones included (they are not run again: that is how a study resumes).

        Warm starts are evaluated first and may leave parameters out. Deterministic for a seed and the same arguments.
        """
        ...
