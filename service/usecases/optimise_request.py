"""What a user asks of an optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from service.core.projection import HEAD_KINDS
from service.core.recipe import HEADS, AnyHead, Strategy
from service.errors import InvalidInput

Metric = Literal["accuracy", "macro_f1"]
Search = Literal["sweep", "thresholds"]
Rejection = Literal["shared", "class"]
Vote = Literal["best", "nearest", "knn", "auto"]
DEFAULT_TRIALS = 40
DEFAULT_NEIGHBOURS = 7
MOST_NEIGHBOURS = 1000
MOST_TRIALS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiseRequest:
    """Options of `holotype optimise`.

    Attributes:
        budget: references a class at most; None: 30 % of the class.
        metric: what the choice maximises.
        strategy: "auto" lets cross-fitting choose between thresholds and medoids.
        head: "auto" lets cross-fitting choose between the closed-form ones and proxies.
        vote: "best": a class's score is the mean of its m best similarities, m = 1, 2 or 3 by cross-fitting; "nearest":
            of its best (1-NN); "knn": its share of the weighted votes of the `neighbours` nearest; "auto" tries all.
        neighbours: k of "knn", at least 1.
        search: "sweep": outer parameters by Bayesian optimisation, thresholds by the exact sweep inside; "thresholds":
            after that, each class's threshold is a parameter of a second search that starts from the sweep's.
        rejection: whether all classes share the trust that a stated error needs, or each has its own.
        trials: of each search, at least 1.
        seed: of folds, search and bootstrap.
        refit: make every labelled picture a candidate for what is served.
    """

    budget: int | None = None
    metric: Metric = "accuracy"
    strategy: Strategy | Literal["auto"] = "auto"
    head: AnyHead | Literal["auto"] = "auto"
    vote: Vote = "best"
    neighbours: int = DEFAULT_NEIGHBOURS
    search: Search = "sweep"
    rejection: Rejection = "shared"
    trials: int = DEFAULT_TRIALS
    seed: int = 0
    refit: bool = True

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise InvalidInput(
                f"the budget is {self.budget} references a class; at least 1 is needed", budget=self.budget
            )
        if not 1 <= self.trials <= MOST_TRIALS:
            raise InvalidInput(
                f"{self.trials} trials were asked for; 1 to {MOST_TRIALS} can be run", trials=self.trials
            )
        if not 0 <= self.seed < 2**32:
            raise InvalidInput(f"the seed is {self.seed}; 0 to 4294967295 can be used", seed=self.seed)
        _one_of("metric", self.metric, get_args(Metric))
        _one_of("strategy", self.strategy, (*get_args(Strategy), "auto"))
        _one_of("head", self.head, (*HEADS, "auto"))
        if not 1 <= self.neighbours <= MOST_NEIGHBOURS:
            raise InvalidInput(
                f"{self.neighbours} neighbours shall vote; 1 to {MOST_NEIGHBOURS} can", neighbours=self.neighbours
            )
        _one_of("rejection", self.rejection, get_args(Rejection))
        _one_of("vote", self.vote, get_args(Vote))
        _one_of("search", self.search, get_args(Search))
        if self.search == "thresholds" and self.strategy not in ("thresholds", "auto"):
            raise InvalidInput(f"search 'thresholds' needs strategy 'thresholds', not {self.strategy!r}")

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """Those that the choice is between."""
        if self.search == "thresholds":
            return ("thresholds",)
        return ("thresholds", "medoids") if self.strategy == "auto" else (self.strategy,)

    @property
    def heads(self) -> tuple[AnyHead, ...]:
        """Those that the choice is between.

        Of the trained ones the proxies measure best in cross-fitting; the others take as long and were never ahead.
        """
        return (*HEAD_KINDS, "proxy") if self.head == "auto" else (self.head,)

    @property
    def voters(self) -> tuple[int | None, ...]:
        """Numbers of neighbours that may vote; None for none, where similarities are averaged."""
        return {"best": (None,), "nearest": (None,), "knn": (self.neighbours,)}.get(self.vote, (None, self.neighbours))

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form, kept with the job."""
        return asdict(self)

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> OptimiseRequest:
        """Reads `as_dict` back."""
        return OptimiseRequest(**value)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(f"{name} {value!r} is unknown; known are {', '.join(known)}", **{name: value})
