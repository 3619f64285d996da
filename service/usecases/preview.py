"""Add-a-class preview: what a new class would be confused with, before anything is stored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from service.core.model import Float32Array, LabelledEmbeddings, Prediction, ScoredLabel
from service.core.newcomer import newcomer_scores, rows_taken
from service.core.projection import Head, identity_head
from service.errors import InvalidInput, NothingToServe
from service.records import Catalogue, Example, ExampleState
from service.usecases.context import Context, partition_of
from service.usecases.holdings import labelled_examples
from service.usecases.labels import checked_label
from service.usecases.leaving_out import leaving_out
from service.usecases.reading import encoder_of, read_pictures
from service.usecases.resolver import Resolved, Resolver, Serving

SEED = 0
TOP = 5
MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A present class and the new one.

    Attributes:
        label: the present class.
        answers: new pictures that are answered as it now, while the new class is not there.
        lost: new pictures that would be answered as it still, by the other new ones.
        taken: its pictures, out of fold, that would be answered as the new class.
        taken_right: those of them that are answered rightly now.
        images: its pictures that were judged.
        examples: ids of some that would be taken.
    """

    label: str
    answers: int
    lost: int
    taken: int
    taken_right: int
    images: int
    examples: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON; `share` is that of the class's pictures that would be taken."""
        share = self.taken / self.images if self.images else 0.0
        return {**asdict(self), "examples": list(self.examples), "share": share}


@dataclass(frozen=True, slots=True)
class Previewed:
    """A new picture.

    Attributes:
        source: where it came from.
        answer: what answers it now, without its own copy in the catalogue; or why it is not used.
        stored: that copy, where the catalogue holds the picture already.
    """

    source: str
    answer: Prediction | str
    stored: Example | None

    def as_dict(self) -> dict[str, Any]:
        """JSON of one picture."""
        if isinstance(self.answer, str):
            return {"path": self.source, "error": self.answer}
        return {
            "path": self.source,
            "label": self.answer.label,
            "confidence": self.answer.confidence,
            "margin": self.answer.margin,
            "top": [one._asdict() for one in self.answer.top],
            "stored": None if self.stored is None else {"id": self.stored.id, "label": self.stored.label},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would come of a new class.

    Attributes:
        label: the new class.
        pictures: each that was given; of one that was given several times the first is judged.
        confusions: the classes that it would be confused with, the most first.
        recognised: new pictures that the others would recognise; None of a single picture.
        images: present pictures that were judged.
    """

    label: str
    pictures: tuple[Previewed, ...]
    confusions: tuple[Confusion, ...]
    recognised: int | None
    images: int

    def as_dict(self) -> dict[str, Any]:
        """JSON of `holotype preview`."""
        return {
            "label": self.label,
            "pictures": [one.as_dict() for one in self.pictures],
            "confused_with": [one.as_dict() for one in self.confusions],
            "recognised": self.recognised,
            "images": self.images,
        }


def preview_class(
    context: Context,
    tenant: str,
    name: str,
    label: str,
    pictures: Sequence[tuple[str, bytes]],
    resolver: Resolver | None = None,
) -> Preview:
    """Judge a class that is not there yet by its pictures, given as (source name, bytes). Nothing is stored.

    Of a picture that the catalogue holds under another label the stored copy neither answers nor is judged: it is told
    what would be if it were of the new class.

    Raises:
        CatalogueNotFound, NothingToServe, EncoderMismatch: as for `classify`.
        InvalidInput: the label cannot be one or is there already, no picture can be used, or nothing else is there.
    """
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    checked = _new_label(context, catalogue, label)
    hashes = [hashlib.sha256(data).hexdigest() for _, data in pictures]
    first = {one: place for place, one in reversed(list(enumerate(hashes)))}
    once = sorted(first.values())
    encoder = encoder_of(context, catalogue)
    read = read_pictures(context, encoder, catalogue.tenant, [pictures[place][1] for place in once])
    rows = dict(zip(once, read.rows, strict=True))
    if not len(read.embeddings):
        reasons = [f"{pictures[place][0]}: {why}" for place, why in rows.items()]
        raise InvalidInput(f"none of the {len(pictures)} pictures can be used: {'; '.join(reasons[:3])}")
    examples = context.registry.examples(catalogue.id)
    stored = _stored(examples, first)
    gone = [one for one in examples if one.content_hash in first]
    present = [one for one in examples if one.state is ExampleState.ACTIVE and one.content_hash not in first]
    if gone and not present:
        raise InvalidInput(f"catalogue {catalogue.name!r} holds nothing beside these pictures to confuse them with")
    # First: points that a broken drop took come back with it, and answer.
    _, data = labelled_examples(context, catalogue, present)
    resolved = _resolved(context, catalogue, read.embeddings, gone, resolver)
    lost = _lost(resolved.serving, read.embeddings, resolved.predictions)
    confusions, images = _confusions(data, resolved.serving, read.embeddings, resolved.predictions, lost)
    told = []
    for place, ((source, _), content_hash) in enumerate(zip(pictures, hashes, strict=True)):
        row, repeated = rows.get(place), pictures[first[content_hash]][0]
        answer = row if isinstance(row, str) else None if row is None else resolved.predictions[row]
        told.append(Previewed(source, answer or f"the same picture as {repeated}", stored.get(content_hash)))
    return Preview(
        label=checked,
        pictures=tuple(told),
        confusions=tuple(confusions),
        recognised=None if lost is None else len(read.embeddings) - lost.total(),
        images=images,
    )


def _resolved(
    context: Context,
    catalogue: Catalogue,
    embeddings: Float32Array,
    gone: Sequence[Example],
    resolver: Resolver | None,
) -> Resolved:
    """What answers now, without the stored copies. A class of which nothing else serves does not answer then."""
    if not gone:
        return (resolver or Resolver(context)).resolve(catalogue, embeddings, TOP)
    try:
        return Resolver(replace(context, store=leaving_out(context.store, gone))).resolve(catalogue, embeddings, TOP)
    except NothingToServe as nothing:
        raise InvalidInput(
            f"every reference that serves catalogue {catalogue.name!r} is among these pictures, so nothing is left to "
            "confuse them with: ask about fewer of them at a time"
        ) from nothing


def _stored(examples: Sequence[Example], hashes: Container[str]) -> dict[str, Example]:
    """Those of the pictures that the catalogue holds, by content hash; the whole picture before a part of it."""
    held = [one for one in examples if one.content_hash in hashes]
    return {one.content_hash: one for one in sorted(held, key=lambda one: not one.crop)}


def _new_label(context: Context, catalogue: Catalogue, label: str) -> str:
    checked = checked_label(label)
    known = context.registry.example_counts(catalogue.id)[1].get(checked)
    if known:
        raise InvalidInput(
            f"catalogue {catalogue.name!r} has a class {checked!r} with {known} pictures already: a preview is for a "
            "class that is not there yet",
            label=checked,
        )
    return checked


def _head(serving: Serving, width: int) -> Head:
    published = serving.published
    return identity_head(width) if published is None or published.head is None else published.head


def _lost(serving: Serving, newcomers: Float32Array, predictions: Sequence[Prediction]) -> Counter[str] | None:
    """By present class, the new pictures that would still be answered as it; None where none has another beside it."""
    if len(newcomers) < 2:
        return None
    head = _head(serving, newcomers.shape[1])
    lost: Counter[str] = Counter()
    for row, prediction in enumerate(predictions):
        others = np.delete(newcomers, row, axis=0)
        score = float(newcomer_scores(head, newcomers[row : row + 1], others, serving.recipe)[0])
        rival = prediction.top[0]
        if serving.recipe.neighbours is not None:  # shares of votes are no similarities
            nearest = prediction.neighbours[0]
            rival = ScoredLabel(nearest.label, nearest.similarity)
        if score <= rival.score:
            lost[rival.label] += 1
    return lost


def _confusions(
    data: LabelledEmbeddings | None,
    serving: Serving,
    newcomers: Float32Array,
    predictions: Sequence[Prediction],
    lost: Mapping[str, int] | None,
) -> tuple[list[Confusion], int]:
    """The classes that are concerned at all, and how many pictures were judged."""
    if data is None:
        return [], 0
    result = rows_taken(data, newcomers, serving.recipe, SEED)
    answers = Counter(prediction.top[0].label for prediction in predictions)
    confusions = []
    for code, label in enumerate(data.classes):
        own = data.codes == code
        taken = np.flatnonzero(own & result.taken)
        confusion = Confusion(
            label=label,
            answers=answers[label],
            lost=(lost or {}).get(label, 0),
            taken=len(taken),
            taken_right=int(np.count_nonzero(own & result.taken & result.right)),
            images=int(np.count_nonzero(own & result.judged)),
            examples=tuple(data.ids[row] for row in taken[:MOST_EXAMPLES].tolist()),
        )
        if confusion.answers or confusion.lost or confusion.taken:
            confusions.append(confusion)
    confusions.sort(
        key=lambda one: (-one.lost / len(newcomers) - one.taken / max(one.images, 1), -one.answers, one.label)
    )
    return confusions, int(np.count_nonzero(result.judged))
