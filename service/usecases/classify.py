"""Classify pictures: decode, encode, search what serves, vote, and say what the answer stands on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.core.model import Float32Array, Prediction
from service.core.rejection import Rejected
from service.errors import InvalidInput, counted, listed
from service.ports import Encoder
from service.records import Catalogue
from service.usecases.context import Context, partition_of
from service.usecases.hints import to_optimise
from service.usecases.reading import encoder_of, read_pictures
from service.usecases.rejecting import LABELS_TO_TELL, policy_of, rejecting
from service.usecases.relabelled import moved_since
from service.usecases.resolver import Resolved, Resolver, classify_embeddings

__all__ = ["Classified", "Resolver", "classify", "classify_embeddings"]

CONTENDERS = 2
"""How many of the best labels have their notes told: a runner-up that stands on little makes the winner unsure too."""

ONE_CLASS = "only one class is known: every picture gets it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """The answer for one picture: a prediction, or the reason why there is none.

    Attributes:
        path: the picture's source name.
        prediction: None when the picture cannot be used.
        error: why it cannot; None otherwise.
        selection: id of the selection that answered; None before any optimisation.
        notes: sentences that say how little the answer stands on; empty when nothing is to be said.
        rejected: why no label is given though the picture could be read; None where one is.
        encoder: what made the embedding: its `specification`, and the digest of its `fingerprint`.
    """

    path: str
    prediction: Prediction | None = None
    error: str | None = None
    selection: str | None = None
    notes: tuple[str, ...] = ()
    rejected: Rejected | None = None
    encoder: Mapping[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON of `holotype classify`."""
        if self.prediction is None:
            return {"path": self.path, "error": self.error}
        return {
            "path": self.path,
            "label": self.prediction.label,
            "confidence": self.prediction.confidence,
            "margin": self.prediction.margin,
            "top": [scored._asdict() for scored in self.prediction.top],
            "neighbours": [
                {"id": one.example_id, "label": one.label, "similarity": one.similarity, "source": one.source}
                for one in self.prediction.neighbours
            ],
            "selection": self.selection,
            "encoder": None if self.encoder is None else dict(self.encoder),
            "notes": list(self.notes),
            "rejected": None if self.rejected is None else self.rejected.as_dict(),
        }


def classify(
    context: Context,
    tenant: str,
    name: str,
    pictures: Sequence[tuple[str, bytes]],
    top: int = 5,
    resolver: Resolver | None = None,
    max_error: float | None = None,
) -> list[Classified]:
    """Classify pictures given as (source name, bytes), in order.

    With `max_error`, 0..1, answers are rejected that are not trusted enough for it; two labels at least are named then.

    Raises:
        CatalogueNotFound: the tenant has no such catalogue.
        NothingToServe: it holds no example that could answer.
        EncoderMismatch: the encoder is not the one that the examples were embedded with.
        InvalidInput: `top` is below 1; `max_error` cannot be promised, or nothing was measured that could promise it.
    """
    if top < 1:
        raise InvalidInput(f"top is {top}; at least one label must be named", top=top)
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    resolver = resolver or Resolver(context)
    if max_error is not None:
        policy_of(resolver.serving(catalogue), name, max_error)
    encoder = encoder_of(context, catalogue)
    read = read_pictures(context, encoder, tenant, [data for _, data in pictures])
    usable = [source for (source, _), row in zip(pictures, read.rows, strict=True) if not isinstance(row, str)]
    answers = answers_of(context, catalogue, encoder, resolver, usable, read.embeddings, top=top, max_error=max_error)
    return [
        Classified(path=source, error=row) if isinstance(row, str) else answers[row]
        for (source, _), row in zip(pictures, read.rows, strict=True)
    ]


def answers_of(
    context: Context,
    catalogue: Catalogue,
    encoder: Encoder,
    resolver: Resolver,
    sources: Sequence[str],
    embeddings: Float32Array,
    *,
    top: int,
    max_error: float | None,
) -> list[Classified]:
    """The answers for pictures whose unit embeddings (n, d) are at hand, named by `sources`, in order.

    Raises NothingToServe, and InvalidInput when `max_error` cannot be promised, as `classify`.
    """
    if not len(embeddings):
        return []
    if max_error is not None:
        top = max(top, LABELS_TO_TELL)
    resolved = resolver.resolve(catalogue, embeddings, max(top, CONTENDERS), trusted=max_error is not None)
    answers = rejecting(resolved, catalogue.name, max_error)
    made_by = {"specification": catalogue.encoder, "fingerprint": encoder.fingerprint.digest}
    for_all = _for_all(context, catalogue, resolved, stated=max_error is not None)
    notes = _Notes(context, catalogue, resolved, top, made_by, for_all)
    return [notes.answer(source, *answer) for source, answer in zip(sources, answers, strict=True)]


class _Notes:
    """What has to be said beside answers, counted once for all of them."""

    def __init__(
        self,
        context: Context,
        catalogue: Catalogue,
        resolved: Resolved,
        top: int,
        encoder: Mapping[str, str],
        for_all: Sequence[str],
    ) -> None:
        named = {label for one in resolved.predictions for label in _contenders(one)}
        self._by_label = context.registry.example_counts(catalogue.id, sorted(named))[1]
        self._top = top
        self._encoder = encoder
        self._serving = resolved.serving
        self._words_only = resolved.words_only
        self._came, self._left = _moved(context, catalogue, resolved)
        self._all = for_all

    def answer(self, source: str, prediction: Prediction, rejected: Rejected | None) -> Classified:
        """The prediction, cut to the labels that were asked for, with its notes."""
        labels = _contenders(prediction)
        notes = [*self._all, *([ONE_CLASS] if len(labels) == 1 else [])]
        for label in labels:
            notes.extend(self._of(label))
        return Classified(
            path=source,
            prediction=_cut(prediction, self._top),
            selection=self._serving.selection,
            notes=tuple(notes),
            rejected=rejected,
            encoder=self._encoder,
        )

    def _of(self, label: str) -> tuple[str, ...]:
        if label in self._words_only:
            return (f"words: {label} stands on words alone, no picture answers for it",)
        notes = []
        if self._by_label.get(label) == 1:
            notes.append(f"one-shot: {label} stands on one picture")
        if self._serving.is_provisional(label):
            notes.append(f"provisional: no optimisation has chosen references of {label} yet, all its examples answer")
        elif came := self._came[label]:
            notes.append(f"changed: {counted(came, 'picture')} came to {label} by relabelling since it was measured")
        if left := self._left[label]:
            notes.append(f"changed: {counted(left, 'picture')} of {label} got another label since it was measured")
        return tuple(notes)


def _moved(context: Context, catalogue: Catalogue, resolved: Resolved) -> tuple[Counter[str], Counter[str]]:
    """How many pictures came to each label, and left each, since what answers was measured."""
    if resolved.serving.selection is None:
        return Counter(), Counter()
    changed = moved_since(context, catalogue.id, resolved.serving.measured)
    return (Counter(), Counter()) if changed is None else (changed.into(), changed.out_of())


def _contenders(prediction: Prediction) -> list[str]:
    """The labels that an answer was decided between, the best first; none for a rejected picture."""
    return [] if prediction.label is None else [scored.label for scored in prediction.top[:CONTENDERS]]


def _cut(prediction: Prediction, top: int) -> Prediction:
    """The prediction with its `top` best labels and their neighbours only."""
    if len(prediction.top) <= top:
        return prediction
    named = {scored.label for scored in prediction.top[:top]}
    neighbours = tuple(one for one in prediction.neighbours if one.label in named)
    return replace(prediction, top=prediction.top[:top], neighbours=neighbours)


def _for_all(context: Context, catalogue: Catalogue, resolved: Resolved, *, stated: bool) -> tuple[str, ...]:
    """What holds of every answer: nothing was measured yet, or not all classes were when an error is `stated`."""
    serving = resolved.serving
    if serving.selection is None:
        return (_unoptimised(catalogue.name, resolved.support),)
    if not stated:
        return ()
    answering = context.registry.member_counts(serving.selection)
    without = sorted(label for label in answering if serving.is_provisional(label))
    if not without:
        return ()
    classes = "this class" if len(without) == 1 else "these classes"
    return (f"stated errors were measured without {classes} ({listed(without)}): run {to_optimise(catalogue.name)}",)


def _unoptimised(name: str, support: int) -> str:
    if not support:
        return "no optimisation yet, and no pictures: words alone answer"
    examples = "its one support example answers" if support == 1 else f"all {support} support examples answer"
    return f"no optimisation yet: {examples}, and confidence says little before {to_optimise(name)}"
