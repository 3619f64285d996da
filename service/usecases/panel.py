"""The panel on pictures from outside: what other reference sets of the same catalogue would have answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from service.core.baselines import panel_scores, reference_rows
from service.core.evaluation import Evaluation, evaluate
from service.core.model import Float32Array, LabelledEmbeddings
from service.core.pipeline import HOLOTYPE, RAW, joined
from service.core.projection import identity_head
from service.records import Catalogue, Selection
from service.usecases.context import Context
from service.usecases.holdings import load_holdings
from service.usecases.selections import head_of, recipe_of


def panel_on(
    context: Context, catalogue: Catalogue, selection: Selection, embeddings: Float32Array, labels: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures of every panel member on pictures that the catalogue does not hold: {"panel": ..., "panel_no_pull": ...}.

    Args:
        context: the ports.
        catalogue: whose examples are the candidates: all labelled ones after a refit, else the support.
        selection: its head, pull and number of references a class are the members' too.
        embeddings: float32 (q, d), unit rows.
        labels: the q true labels; ones that the catalogue does not know are wrong whatever is answered.

    Member "raw" is all references on the raw embeddings. The selection's own line shows its references
    as they are now; `with_selection` puts what it really answered in its place.
    """
    candidates = _candidates(context, catalogue, selection)
    classes = tuple(dict.fromkeys([*candidates.classes, *sorted({*labels})]))
    data = LabelledEmbeddings(candidates.embeddings, candidates.codes, classes, candidates.ids, candidates.groups)
    members = context.registry.members(selection.id)
    kept = Counter(member.label for member in members)
    counts = np.array([kept.get(label, 0) for label in classes], dtype=np.int64)
    identity = identity_head(embeddings.shape[1])
    head, recipe = head_of(context, selection) or identity, recipe_of(selection)
    rows = reference_rows(data, head, counts, selection.seed)
    chosen = {member.example_id for member in members}
    rows[HOLOTYPE] = np.array([row for row, example_id in enumerate(data.ids) if example_id in chosen], dtype=np.int64)
    code_of = {label: code for code, label in enumerate(classes)}
    truth = np.array([code_of[label] for label in labels], dtype=np.int64)
    raw = panel_scores(data, identity, {RAW: rows["all"]}, embeddings, per_label=1, pull=0.0)[RAW]
    return {
        name: {
            member: member_figures(evaluate(truth, scores, classes), references)
            for member, (scores, references) in (
                {RAW: raw}
                | panel_scores(
                    data, head, rows, embeddings, per_label=recipe.per_label, neighbours=recipe.neighbours, pull=pull
                )
            ).items()
        }
        for name, pull in (("panel", recipe.pull), ("panel_no_pull", 0.0))
    }


def member_figures(evaluation: Evaluation, references: float) -> dict[str, float]:
    """What is told of a panel member."""
    return {
        "accuracy": evaluation.accuracy,
        "macro_f1": evaluation.macro_f1,
        "weighted_f1": evaluation.weighted_f1,
        "top5": evaluation.top5,
        "references": float(references),
    }


def with_selection(
    panels: dict[str, dict[str, dict[str, float]]], evaluation: Evaluation, references: float
) -> dict[str, dict[str, dict[str, float]]]:
    """The panel with the selection's own line added."""
    return {**panels, "panel": {**panels["panel"], HOLOTYPE: member_figures(evaluation, references)}}


def _candidates(context: Context, catalogue: Catalogue, selection: Selection) -> LabelledEmbeddings:
    holdings = load_holdings(context, catalogue)
    if not selection.figures.get("refit"):
        return holdings.support
    return joined(joined(holdings.support, holdings.tuning), holdings.holdout)
