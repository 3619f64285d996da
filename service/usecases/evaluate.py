"""Evaluate a catalogue: the figures stored with its selection, or its answers on pictures that it does not hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from service.core.evaluation import REJECTED, Evaluation, bootstrap_interval, evaluate
from service.core.model import Float32Array, Prediction
from service.errors import Busy, InvalidInput, SelectionNotFound, counted
from service.ports import Encoder
from service.records import Catalogue, Selection, Split
from service.usecases.context import Context, OnProgress, partition_of
from service.usecases.files import read_file
from service.usecases.panel import panel_on, with_selection
from service.usecases.reading import encoder_of, read_pictures
from service.usecases.rejecting import policy_of, promised, realised, rejecting
from service.usecases.report import report_data
from service.usecases.resolver import Resolver
from service.usecases.selections import chunked
from service.usecases.sources import Source, find_sources

__all__ = ["evaluate_folder", "report_data", "stored_evaluation"]

STAGE = "evaluate"
TOP = 5
UNKNOWN_LABEL, ALREADY_STORED, BROKEN = "unknown_label", "already_stored", "broken"
SKIPPED = (UNKNOWN_LABEL, ALREADY_STORED, BROKEN)
STORED_FIGURES = ("images", "accuracy", "interval", "macro_f1", "weighted_f1", "top5", "references", "support")


@dataclass(slots=True)
class _Judged:
    """What was seen of a folder so far."""

    truth: list[str] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    selections: set[str | None] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    embeddings: list[Float32Array] = field(default_factory=list)


def stored_evaluation(context: Context, tenant: str, name: str, max_error: float | None = None) -> dict[str, Any]:
    """The figures that were stored with the active selection, as `holotype evaluate` shows them.

    With `max_error` there is `promised` too: the share of pictures that would be answered.

    Raises:
        CatalogueNotFound: the tenant has no such catalogue.
        SelectionNotFound: nothing was optimised yet.
        InvalidInput: `max_error` cannot be promised.
    """
    catalogue = context.registry.catalogue(tenant, name)
    selection = _active(context, catalogue)
    if selection is None:
        raise SelectionNotFound(
            f"catalogue {name!r} has no selection yet, so no figures were stored: run `holotype optimise {name}`, or "
            f"`holotype evaluate {name} FOLDER` with pictures that it does not hold",
            catalogue=name,
        )
    figures = {key: selection.figures.get(key) for key in STORED_FIGURES}
    if max_error is not None:
        figures["promised"] = promised(policy_of(Resolver(context).serving(catalogue), name, max_error), max_error)
    return {
        **selection.figures,
        **figures,
        "references": len(context.registry.members(selection.id)),
        "measured_references": selection.figures.get("references"),
        "per_class": selection.figures.get("per_class", {}),
        "panel": selection.figures.get("panel", {}),
        "panel_measured_on": selection.measured_on,
        "measured_on": selection.measured_on,
        "selection": selection.id,
        "skipped": dict.fromkeys(SKIPPED, 0),
    }


def evaluate_folder(
    context: Context,
    tenant: str,
    name: str,
    folder: Path,
    on_progress: OnProgress,
    resolver: Resolver | None = None,
    max_error: float | None = None,
) -> dict[str, Any]:
    """Judge the catalogue's answers on a folder of label/picture.jpg.

    Left out and counted: labels that the catalogue does not know, pictures that it holds already (by content), files
    that cannot be decoded. A picture that is rejected (`max_error`, 0..1) counts as wrong in accuracy and F1;
    `realised` says how many of the accepted were.

    Raises:
        CatalogueNotFound, NothingToServe, EncoderMismatch: as for `classify`.
        InvalidInput: the folder is none, or nothing in it can be judged; `max_error` cannot be promised.
        Busy: the active selection changed while pictures were being judged.
    """
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder: give one that holds a folder of pictures for each label")
    sources = list(find_sources(folder, None, Split.UNASSIGNED))
    if not sources:
        raise InvalidInput(
            f"there are no pictures in {folder}: give a folder that holds a folder of pictures for each label",
            path=str(folder),
        )
    resolver = resolver or Resolver(context)
    if max_error is not None:
        policy_of(resolver.serving(catalogue), name, max_error)
    encoder = encoder_of(context, catalogue)
    judged = _judge(context, catalogue, encoder, sources, on_progress, resolver, max_error)
    if not judged.truth:
        raise InvalidInput(
            f"of {counted(len(sources), 'picture')} in {folder} none can be judged: {_told(judged.skipped)}",
            skipped={key: judged.skipped[key] for key in SKIPPED},
        )
    figures = _figures(context, catalogue, encoder, judged, folder)
    return figures if max_error is None else figures | realised(judged.truth, judged.predictions, max_error)


def _judge(
    context: Context,
    catalogue: Catalogue,
    encoder: Encoder,
    sources: Sequence[Source],
    on_progress: OnProgress,
    resolver: Resolver,
    max_error: float | None,
) -> _Judged:
    judged = _Judged()
    known = set(context.registry.example_counts(catalogue.id)[1])
    done = 0
    on_progress(STAGE, done, len(sources))
    for batch in chunked(sources, context.limits.chunk_images):
        fresh = list(_fresh(context, catalogue, batch, known, judged.skipped))
        read = read_pictures(context, encoder, [data for _, data in fresh])
        judged.skipped[BROKEN] += sum(isinstance(row, str) for row in read.rows)
        if len(read.embeddings):
            resolved = resolver.resolve(catalogue, read.embeddings, TOP)
            judged.selections.add(resolved.serving.selection)
            judged.predictions.extend(answer for answer, _ in rejecting(resolved, catalogue.name, max_error))
            judged.embeddings.append(read.embeddings)
            judged.truth.extend(
                label for (label, _), row in zip(fresh, read.rows, strict=True) if not isinstance(row, str)
            )
        done += len(batch)
        on_progress(STAGE, done, len(sources))
    return judged


def _fresh(
    context: Context, catalogue: Catalogue, sources: Sequence[Source], known: set[str], skipped: Counter[str]
) -> Iterator[tuple[str, bytes]]:
    """(label, bytes) of the pictures that may be judged; the others are counted."""
    read: list[tuple[str, bytes, str]] = []
    for source in sources:
        if source.label not in known:
            skipped[UNKNOWN_LABEL] += 1
        elif source.failure is not None or (data := _bytes(source.path)) is None:
            skipped[BROKEN] += 1
        else:
            read.append((source.label, data, hashlib.sha256(data).hexdigest()))
    held = context.registry.examples_by_hash(catalogue.id, [content_hash for _, _, content_hash in read])
    for label, data, content_hash in read:
        if content_hash in held:
            skipped[ALREADY_STORED] += 1
        else:
            yield label, data


def _bytes(path: Path) -> bytes | None:
    try:
        return read_file(path)
    except InvalidInput:
        return None


def _figures(context: Context, catalogue: Catalogue, encoder: Encoder, judged: _Judged, folder: Path) -> dict[str, Any]:
    if len(judged.selections) > 1:
        raise Busy(
            f"the active selection of catalogue {catalogue.name!r} changed while pictures were judged: try again"
        )
    (selection_id,) = judged.selections
    selection = None if selection_id is None else context.registry.selection(catalogue.id, selection_id)
    support = context.registry.example_counts(catalogue.id)[0].get(Split.SUPPORT, 0)
    evaluation = _evaluated(judged)
    references = support if selection is None else len(context.registry.members(selection.id))
    measured_on = f"{len(judged.truth)} pictures of {folder} that the catalogue does not hold"
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


def _evaluated(judged: _Judged) -> Evaluation:
    named = {scored.label for prediction in judged.predictions for scored in prediction.top}
    classes = tuple(sorted({*judged.truth, *named}))
    code = {label: index for index, label in enumerate(classes)}
    truth = np.array([code[label] for label in judged.truth], dtype=np.int64)
    return evaluate(truth, np.stack([_row(prediction, code) for prediction in judged.predictions]), classes)


def _row(prediction: Prediction, code: Mapping[str, int]) -> Float32Array:
    """Places instead of scores, 0 for the best: float32 could make ties of scores that the vote told apart."""
    row = np.full(len(code), -np.inf, dtype=np.float32)
    if prediction.label is not None:
        for place, scored in enumerate(prediction.top):
            row[code[scored.label]] = -place
    return row


def _confused(evaluation: Evaluation, truth: Sequence[str]) -> list[dict[str, Any]]:
    """The cells of the confusion matrix that are not 0, largest first; `predicted` is None for rejected pictures."""
    answers = (None if code == REJECTED else evaluation.classes[code] for code in evaluation.predicted.tolist())
    cells = Counter(zip(truth, answers, strict=True))
    return [{"label": label, "predicted": answer, "images": images} for (label, answer), images in cells.most_common()]


def _active(context: Context, catalogue: Catalogue) -> Selection | None:
    if catalogue.active_selection is None:
        return None
    return context.registry.selection(catalogue.id, catalogue.active_selection)


def _told(skipped: Mapping[str, int]) -> str:
    words = {
        UNKNOWN_LABEL: "have a label that the catalogue does not know",
        ALREADY_STORED: "are in the catalogue already",
        BROKEN: "cannot be read",
    }
    return ", ".join(f"{skipped[key]} {words[key]}" for key in SKIPPED)
