"""Judging a catalogue's answers on labelled pictures that it does not hold, and the figures that come of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.core.evaluation import Evaluation, bootstrap_interval, evaluate
from service.core.model import Float32Array, Prediction
from service.errors import Busy, InvalidInput, listed
from service.ports import Encoder
from service.records import Catalogue, Split
from service.usecases.context import Context, OnProgress
from service.usecases.panel import panel_on, with_selection
from service.usecases.reading import read_pictures
from service.usecases.rejecting import rejecting
from service.usecases.resolver import Resolver
from service.usecases.selections import chunked

STAGE = "evaluate"
TOP = 5
UNKNOWN_LABEL, ALREADY_STORED, BROKEN = "unknown_label", "already_stored", "broken"
SKIPPED = (UNKNOWN_LABEL, ALREADY_STORED, BROKEN)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture and what it shows.

    Attributes:
        label: its label; "" for one without.
        read: its bytes; raises InvalidInput when they cannot be had.
        failure: why it cannot be used; None for one to be read.
    """

    label: str
    read: Callable[[], bytes]
    failure: str | None = None


@dataclass(slots=True)
class Judged:
    """What was seen of the pictures so far.

    Attributes:
        truth: their labels.
        predictions: all answers, as they are without rejection.
        accepted: bool a picture, whether its answer is given at the stated error.
        selections: what answered.
        skipped: pictures that were left out, by reason.
        unknown: labels of these that the catalogue does not know.
        known: those that it knows.
        embeddings: of the judged pictures, a chunk each.
    """

    truth: list[str] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    selections: set[str | None] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    embeddings: list[Float32Array] = field(default_factory=list)


def judge(
    context: Context,
    catalogue: Catalogue,
    encoder: Encoder,
    pictures: Sequence[Labelled],
    on_progress: OnProgress,
    resolver: Resolver,
    max_error: float | None,
) -> Judged:
    """Answer the pictures that the catalogue does not hold, a chunk at a time; what is left out is counted."""
    judged = Judged(known=set(context.registry.example_counts(catalogue.id)[1]))
    judged.known |= {one.label for one in context.registry.prompts(catalogue.id)}
    done = 0
    on_progress(STAGE, done, len(pictures))
    for batch in chunked(pictures, context.limits.chunk_images):
        fresh = list(_fresh(context, catalogue, batch, judged))
        read = read_pictures(context, encoder, catalogue.tenant, [data for _, data in fresh])
        judged.skipped[BROKEN] += sum(isinstance(row, str) for row in read.rows)
        if len(read.embeddings):
            resolved = resolver.resolve(catalogue, read.embeddings, TOP, trusted=max_error is not None)
            judged.selections.add(resolved.serving.selection)
            judged.predictions.extend(resolved.predictions)
            judged.accepted.extend(why is None for _, why in rejecting(resolved, catalogue.name, max_error))
            judged.embeddings.append(read.embeddings)
            judged.truth.extend(
                label for (label, _), row in zip(fresh, read.rows, strict=True) if not isinstance(row, str)
            )
        done += len(batch)
        on_progress(STAGE, done, len(pictures))
    return judged


def _fresh(
    context: Context, catalogue: Catalogue, pictures: Sequence[Labelled], judged: Judged
) -> Iterator[tuple[str, bytes]]:
    """(label, bytes) of the pictures that may be judged; the others are counted."""
    read: list[tuple[str, bytes, str]] = []
    skipped = judged.skipped
    for one in pictures:
        if one.label not in judged.known:
            skipped[UNKNOWN_LABEL] += 1
            judged.unknown.add(one.label)
        elif one.failure is not None or (data := _bytes(one)) is None:
            skipped[BROKEN] += 1
        else:
            read.append((one.label, data, hashlib.sha256(data).hexdigest()))
    held = context.registry.examples_by_hash(catalogue.id, [content_hash for _, _, content_hash in read])
    for label, data, content_hash in read:
        if content_hash in held:
            skipped[ALREADY_STORED] += 1
        else:
            yield label, data


def _bytes(picture: Labelled) -> bytes | None:
    try:
        return picture.read()
    except InvalidInput:
        return None


def figures_of(context: Context, catalogue: Catalogue, encoder: Encoder, judged: Judged, where: str) -> dict[str, Any]:
    """The JSON of `holotype evaluate NAME FOLDER`; `where` says where the pictures came from.

    Raises Busy when the active selection changed while they were judged.
    """
    if len(judged.selections) > 1:
        raise Busy(
            f"the active selection of catalogue {catalogue.name!r} changed while pictures were judged: try again"
        )
    (selection_id,) = judged.selections
    selection = None if selection_id is None else context.registry.selection(catalogue.id, selection_id)
    support = context.registry.example_counts(catalogue.id)[0].get(Split.SUPPORT, 0)
    evaluation = evaluated(judged)
    references = support if selection is None else len(context.registry.members(selection.id))
    measured_on = f"{len(judged.truth)} pictures of {where} that the catalogue does not hold"
    panels: dict[str, dict[str, dict[str, float]]] = {"panel": {}, "panel_no_pull": {}}
    if selection is not None:
        panels = panel_on(context, catalogue, selection, np.concatenate(judged.embeddings), judged.truth)
        panels = with_selection(panels, evaluation, references)
    return {
        **evaluation.as_dict(),
        "interval": list(bootstrap_interval(evaluation.correct, 0 if selection is None else selection.seed)),
        "references": references,
        "support": support,
        **panels,
        "panel_measured_on": measured_on,
        "measured_on": measured_on,
        "selection": selection_id,
        "skipped": {key: judged.skipped[key] for key in SKIPPED},
        "confusion": _confused(evaluation, judged.truth),
        "device": encoder.device,
        "precision": encoder.precision,
    }


def evaluated(judged: Judged) -> Evaluation:
    """The figures of all answers, rejected or not."""
    named = {scored.label for prediction in judged.predictions for scored in prediction.top}
    classes = tuple(sorted({*judged.truth, *named}))
    code = {label: index for index, label in enumerate(classes)}
    truth = np.array([code[label] for label in judged.truth], dtype=np.int64)
    return evaluate(truth, np.stack([_row(prediction, code) for prediction in judged.predictions]), classes)


def _row(prediction: Prediction, code: Mapping[str, int]) -> Float32Array:
    """Places instead of scores, 0 for the best: float32 could make ties of scores that the vote told apart."""
    row = np.full(len(code), -np.inf, dtype=np.float32)
    for place, scored in enumerate(prediction.top):
        row[code[scored.label]] = -place
    return row


def _confused(evaluation: Evaluation, truth: Sequence[str]) -> list[dict[str, Any]]:
    """The cells of the confusion matrix that are not 0, largest first."""
    answers = (evaluation.classes[code] for code in evaluation.predicted.tolist())
    cells = Counter(zip(truth, answers, strict=True))
    return [{"label": label, "predicted": answer, "images": images} for (label, answer), images in cells.most_common()]


def told_skipped(judged: Judged) -> str:
    """Why pictures were left out, in words, with the labels that are not known and those that are."""
    labels = listed([repr(label) for label in sorted(judged.unknown) if label])
    known = listed([repr(label) for label in sorted(judged.known)])
    words = {
        UNKNOWN_LABEL: (
            "has a label that the catalogue does not know",
            "have labels that the catalogue does not know",
            f" ({labels and labels + '; '}it knows {known})",
        ),
        ALREADY_STORED: ("is in the catalogue already", "are in the catalogue already", ""),
        BROKEN: ("cannot be read", "cannot be read", ""),
    }
    told = []
    for key in SKIPPED:
        one, many, more = words[key]
        if count := judged.skipped[key]:
            told.append(f"{count} {one if count == 1 else many}{more}")
    return ", ".join(told)
