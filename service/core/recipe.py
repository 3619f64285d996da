"""A recipe: everything that was decided about how references are chosen and votes are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from service.core.metric_learning import TRAINED_KINDS, TrainedKind
from service.core.projection import HEAD_KINDS, HeadKind
from service.errors import InvalidInput

Strategy = Literal["thresholds", "medoids", "all"]
STRATEGIES: tuple[Strategy, ...] = ("thresholds", "medoids", "all")
Space = Literal["raw", "projected"]
Cleaning = Literal["none", "disputed", "modelled"]
AnyHead = HeadKind | TrainedKind
HEADS: tuple[AnyHead, ...] = (*HEAD_KINDS, *TRAINED_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a selection is made from a support set. The defaults are what answers before any optimisation.

    Attributes:
        head: closed-form or trained.
        shrinkage: 0..1, of a closed-form head's covariance.
        steps: of gradient descent of a trained head.
        cleaning: which suspected label errors are kept out of head and references (`core.cleaning`).
        strategy: how references are chosen.
        space: "raw" or "projected": where centrality is computed (strategy "thresholds").
        quantile: 0..1, share of a class that is kept before the sweep, and towards which thresholds are shrunk.
        threshold_shrinkage: 0..1, how far each class's share moves back from the sweep's choice to `quantile`.
        size_penalty: tuning errors that one reference may cost in the sweep.
        minimum, maximum: references a class, at least and at most; `maximum` None: 30 % of the class (at least one).
        medoids: references a class of strategy "medoids".
        per_label: m, how many best similarities make a class's score.
        neighbours: k of a weighted k-NN vote in its place (`core.neighbour_votes`); None: there is none.
        pull: 0..1, how far references move to their class mean.
        temperature: of the softmax over class scores that gives the confidence.
        class_shares: share kept of each class, set where a search chose thresholds one by one (`--search thresholds`).
    """

    head: AnyHead = "none"
    shrinkage: float = 0.2
    steps: int = 200
    cleaning: Cleaning = "none"
    strategy: Strategy = "all"
    space: Space = "raw"
    quantile: float = 0.3
    threshold_shrinkage: float = 0.5
    size_penalty: float = 0.05
    minimum: int = 1
    maximum: int | None = None
    medoids: int = 3
    per_label: int = 1
    neighbours: int | None = None
    pull: float = 0.0
    temperature: float = 0.05
    class_shares: Mapping[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return asdict(self)

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Recipe:
        """Reads `as_dict` back; keys of newer versions are left out."""
        known = {field.name for field in fields(Recipe)}
        return Recipe(**{key: entry for key, entry in value.items() if key in known})

    def check(self) -> None:
        """Raises InvalidInput naming the first value that no recipe has: it may come from anywhere."""
        for name, known in _WORDS.items():
            value = getattr(self, name)
            if value not in known:
                raise InvalidInput(f"the recipe's {name} is {value!r}; one of {', '.join(known)} is needed")
        for name, (least, most) in _NUMBERS.items():
            self._check_number(name, getattr(self, name), (int, float), least, most)
        for name in _COUNTS:
            self._check_number(name, getattr(self, name), (int,), 1, _MOST)
        for name in ("maximum", "neighbours"):
            if getattr(self, name) is not None:
                self._check_number(name, getattr(self, name), (int,), 1, _MOST)
        self._check_shares()

    def _check_number(self, name: str, value: object, kinds: tuple[type, ...], least: float, most: float) -> None:
        if type(value) not in kinds or not isinstance(value, (int, float)) or not least <= value <= most:
            kind = "whole number" if float not in kinds else "number"
            raise InvalidInput(f"the recipe's {name} is {value!r}; a {kind} from {least:g} to {most:g} is needed")

    def _check_shares(self) -> None:
        shares: object = self.class_shares
        if shares is None:
            return
        if not isinstance(shares, Mapping):
            raise InvalidInput("the recipe's class_shares are no shares by label")
        for label, share in shares.items():
            self._check_number(f"share of {label!r}", share, (int, float), 0, 1)


_MOST = 10**9
_WORDS: dict[str, tuple[str, ...]] = {
    "head": HEADS,
    "cleaning": get_args(Cleaning),
    "strategy": STRATEGIES,
    "space": get_args(Space),
}
_NUMBERS: dict[str, tuple[float, float]] = {
    "shrinkage": (0, 1),
    "quantile": (0, 1),
    "threshold_shrinkage": (0, 1),
    "size_penalty": (0, _MOST),
    "pull": (0, 1),
    "temperature": (1e-9, _MOST),
}
_COUNTS = ("steps", "minimum", "medoids", "per_label")
