"""What is answered about pictures."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from service.client.models.base import Answer
from service.client.models.catalogues import Changed


class ScoredLabel(Answer):
    """A label with its score, -1..1, higher is nearer."""

    label: str
    score: float


class Neighbour(Answer):
    """A reference that a picture resembles; `similarity` is a cosine behind the selection's head."""

    id: str
    label: str
    similarity: float
    source: str
    thumbnail: str | None = None


class Rejected(Answer):
    """Why no label was given; `trust` and `needed` are 0..1."""

    reason: str
    trust: float
    needed: float


class Classified(Answer):
    """The answer for one picture. `error` says why there is none, and everything else is empty then.

    Attributes:
        label: None where there is no answer, or it was rejected.
        confidence: chance that the label is right, 0..1.
        margin: score of the best class over that of the second.
        selection: id of the one that answered; None before any optimisation.
        notes: sentences that say how little the answer stands on.
    """

    path: str
    error: str | None = None
    label: str | None = None
    confidence: float | None = None
    margin: float | None = None
    top: list[ScoredLabel] = Field(default_factory=list)
    neighbours: list[Neighbour] = Field(default_factory=list)
    selection: str | None = None
    encoder: dict[str, Any] | None = None
    notes: list[str] = Field(default_factory=list)
    rejected: Rejected | None = None

    def as_dict(self) -> dict[str, Any]:
        """As the server sent it: an answer, or `path` and `error`."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Found(Answer):
    """An example that resembles what was asked for; `similarity` is a cosine of the raw embeddings."""

    id: str
    label: str
    split: str
    similarity: float
    source: str
    metadata: dict[str, str] = Field(default_factory=dict)
    thumbnail: str | None = None


class Verified(Answer):
    """Same class or not, and how often that is right: `tpr` of `same_pairs` of one class, `tnr` of the others."""

    same: bool
    similarity: float
    threshold: float
    rule: str
    tpr: float
    tnr: float
    eer: float
    same_pairs: int | None = None
    different_pairs: int | None = None
    selection: str
    measured_on: str


class Preview(Answer):
    """What a new class would be confused with. `recognised` is None of a single picture."""

    label: str
    pictures: list[dict[str, Any]]
    confused_with: list[dict[str, Any]]
    recognised: int | None
    images: int


class Suggested(Answer):
    """A picture whose label would help, rank 1 first; or one that cannot be used, with `error`."""

    path: str
    error: str | None = None
    rank: int | None = None
    likely: list[ScoredLabel] = Field(default_factory=list)
    margin: float | None = None
    why: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As the server sent it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Evaluation(Answer):
    """How good the answers are; further members are those of `holotype evaluate --json`."""

    images: int | None
    accuracy: float | None
    interval: list[float] | None
    macro_f1: float | None
    weighted_f1: float | None
    top5: float | None
    references: float
    support: float | None
    selection: str | None
    measured_on: str
    per_class: dict[str, dict[str, Any]]
    panel: dict[str, dict[str, Any]]
    skipped: dict[str, int]
    changed: Changed | None = None
