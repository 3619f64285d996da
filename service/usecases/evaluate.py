"""Evaluate a catalogue: the figures stored with its selection, or its answers on pictures that it does not hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from service.errors import InvalidInput, SelectionNotFound, counted
from service.records import Catalogue, Selection, Split
from service.usecases.context import Context, OnProgress, partition_of
from service.usecases.files import read_file
from service.usecases.hints import to_evaluate, to_optimise
from service.usecases.labels import label_asked_for
from service.usecases.reading import encoder_of
from service.usecases.rejecting import policy_of, promised, realised
from service.usecases.relabelled import changed_since
from service.usecases.report import report_data
from service.usecases.resolver import Resolver
from service.usecases.scoring import SKIPPED, Labelled, figures_of, judge, told_skipped
from service.usecases.sources import Source, find_sources

__all__ = ["evaluate_folder", "evaluate_pictures", "evaluation_of", "report_data", "stored_evaluation"]

STORED_FIGURES = ("images", "accuracy", "interval", "macro_f1", "weighted_f1", "top5", "references", "support")


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
            f"catalogue {name!r} has no selection yet, so no figures were stored: run {to_optimise(name)}, or "
            f"{to_evaluate(name)} with pictures that it does not hold",
            catalogue=name,
        )
    evaluation = evaluation_of(context, selection)
    if max_error is not None:
        evaluation["promised"] = promised(policy_of(Resolver(context).serving(catalogue), name, max_error), max_error)
    return evaluation


def evaluation_of(context: Context, selection: Selection) -> dict[str, Any]:
    """The figures that were stored with a selection, whether it serves or not, in the form of an evaluation.

    `changed` marks them where examples came or were relabelled since they were measured (`relabelled.Changed`).
    """
    return {
        **selection.figures,
        **{key: selection.figures.get(key) for key in STORED_FIGURES},
        "references": len(context.registry.members(selection.id)),
        "measured_references": selection.figures.get("references"),
        "per_class": selection.figures.get("per_class", {}),
        "panel": selection.figures.get("panel", {}),
        "panel_measured_on": selection.measured_on,
        "measured_on": selection.measured_on,
        "selection": selection.id,
        "skipped": dict.fromkeys(SKIPPED, 0),
        "changed": None if (changed := changed_since(context, selection)) is None else changed.as_dict(),
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
    that cannot be decoded. Figures are of all answers; what rejection (`max_error`, 0..1) does is told apart, in
    `realised`.

    Raises:
        CatalogueNotFound, NothingToServe, EncoderMismatch: as for `classify`.
        InvalidInput: the folder is none, or nothing in it can be judged; `max_error` cannot be promised.
        Busy: the active selection changed while pictures were being judged.
    """
    partition_of(context.registry.catalogue(tenant, name))
    labelled = [_of_source(source) for source in sources_to_judge(folder)]
    return _evaluated(context, tenant, name, labelled, str(folder), on_progress, resolver, max_error)


def sources_to_judge(folder: Path) -> list[Source]:
    """The labelled pictures of a folder, at least one. Raises InvalidInput."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder: give one that holds a folder of pictures for each label")
    sources = list(find_sources(folder, None, Split.UNASSIGNED))
    if not sources:
        raise InvalidInput(
            f"there are no pictures in {folder}: give a folder that holds a folder of pictures for each label",
            path=str(folder),
        )
    return sources


def evaluate_pictures(
    context: Context,
    tenant: str,
    name: str,
    pictures: Iterable[Labelled],
    resolver: Resolver | None = None,
    max_error: float | None = None,
) -> dict[str, Any]:
    """Judge the catalogue's answers on pictures that are given with their labels, as `evaluate_folder` does.

    Raises:
        CatalogueNotFound, NothingToServe, EncoderMismatch: as for `classify`.
        InvalidInput: nothing of it can be judged; `max_error` cannot be promised.
        Busy: the active selection changed while pictures were being judged.
    """
    given = [_with_checked_label(one) for one in pictures]
    if not given:
        raise InvalidInput("there are no pictures to judge: send some, each with its label")
    return _evaluated(context, tenant, name, given, "the request", lambda *_: None, resolver, max_error)


def _evaluated(
    context: Context,
    tenant: str,
    name: str,
    labelled: list[Labelled],
    where: str,
    on_progress: OnProgress,
    resolver: Resolver | None,
    max_error: float | None,
) -> dict[str, Any]:
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    resolver = resolver or Resolver(context)
    if max_error is not None:
        policy_of(resolver.serving(catalogue), name, max_error)
    encoder = encoder_of(context, catalogue)
    judged = judge(context, catalogue, encoder, labelled, on_progress, resolver, max_error)
    if not judged.truth:
        raise InvalidInput(
            f"of {counted(len(labelled), 'picture')} in {where} none can be judged: {told_skipped(judged)}",
            skipped={key: judged.skipped[key] for key in SKIPPED},
        )
    figures = {**figures_of(context, catalogue, encoder, judged, where), "changed": None}
    if max_error is None:
        return figures
    return figures | realised(judged.truth, judged.predictions, judged.accepted, max_error)


def _of_source(source: Source) -> Labelled:
    return Labelled(source.label, lambda: read_file(source.path), source.failure)


def _with_checked_label(one: Labelled) -> Labelled:
    """The label as the catalogue would have it; one that can be none is one that it does not know."""
    try:
        return Labelled(label_asked_for(one.label), one.read, one.failure)
    except InvalidInput:
        return Labelled("", one.read, one.failure)


def _active(context: Context, catalogue: Catalogue) -> Selection | None:
    if catalogue.active_selection is None:
        return None
    return context.registry.selection(catalogue.id, catalogue.active_selection)
