"""The data of the report: an evaluation together with everything that is stored about what serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from service.errors import NotFound
from service.records import Catalogue, ExampleState, Selection, Split
from service.usecases.context import Context, report_key
from service.usecases.selections import summary_of

STORED_PARTS = (
    "cross_class_histogram",
    "similarity_before",
    "similarity_after",
    "class_distance",
    "curve",
    "versions",
    "risk_coverage",
    "reliability",
    "unknown_roc",
    "pairs",
)
"""Parts of a selection's stored report that the page shows as they are."""


def report_data(context: Context, tenant: str, name: str, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Everything for the page, JSON values; parts that there are none of are None or empty.

    Args:
        context: the ports.
        tenant: whose catalogue.
        name: the catalogue.
        evaluation: from `evaluate_folder` or `stored_evaluation`.

    Raises:
        CatalogueNotFound: the tenant has no such catalogue.
    """
    catalogue = context.registry.catalogue(tenant, name)
    selection = _selection(context, catalogue, evaluation.get("selection"))
    stored = _stored(context, catalogue, selection)
    by_split, by_label = context.registry.example_counts(catalogue.id)
    held = context.registry.examples(catalogue.id, state=ExampleState.CONFLICT)
    return {
        "catalogue": {
            "name": catalogue.name,
            "encoder": catalogue.encoder,
            "fingerprint": None if catalogue.fingerprint is None else catalogue.fingerprint.as_dict(),
            "digest": None if catalogue.fingerprint is None else catalogue.fingerprint.digest,
            "splits": {split.value: by_split.get(split, 0) for split in Split},
            "labels": by_label,
            "conflicts": len(held),
        },
        "selection": None if selection is None else _described(context, catalogue, selection),
        "evaluation": dict(evaluation),
        "panel": evaluation.get("panel") or {},
        "panel_no_pull": evaluation.get("panel_no_pull") or {},
        "confusion": _confusion(evaluation) or stored.get("confusion"),
        **{part: stored.get(part) for part in STORED_PARTS},
        "device": evaluation.get("device") or stored.get("device"),
        "precision": evaluation.get("precision") or stored.get("precision"),
        "made_at": context.clock(),
    }


def _selection(context: Context, catalogue: Catalogue, selection_id: str | None) -> Selection | None:
    """The selection that the evaluation is of; it may have been followed by another one."""
    return None if selection_id is None else context.registry.selection(catalogue.id, selection_id)


def _described(context: Context, catalogue: Catalogue, selection: Selection) -> dict[str, Any]:
    members = context.registry.members(selection.id)
    return {
        **summary_of(context, catalogue, selection).as_dict(),
        "provisional": sum(member.provisional for member in members),
        "split_hash": selection.split_hash,
    }


def _stored(context: Context, catalogue: Catalogue, selection: Selection | None) -> Mapping[str, Any]:
    """The selection's stored report; empty where it is gone, for the figures stand without it."""
    if selection is None:
        return {}
    with suppress(NotFound):
        value: Mapping[str, Any] = json.loads(context.blobs.get(report_key(catalogue.tenant, selection.id)))
        return value
    return {}


def _confusion(evaluation: Mapping[str, Any]) -> dict[str, Any] | None:
    """The cells of an evaluation as {labels, matrix}; None where it has none."""
    cells = evaluation.get("confusion")
    if not cells:
        return None
    labels = sorted({cell["label"] for cell in cells} | {cell["predicted"] for cell in cells})
    place = {label: index for index, label in enumerate(labels)}
    matrix = [[0] * len(labels) for _ in labels]
    for cell in cells:
        matrix[place[cell["label"]]][place[cell["predicted"]]] += cell["images"]
    return {"labels": labels, "matrix": matrix}
