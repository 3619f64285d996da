"""Verify: are two pictures of one class, or is a picture of a given class?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.core.agreement import AGREEING, WITH_ANSWERS, compared, compared_with_class
from service.core.model import Float32Array
from service.core.verification import Rule, check_rule
from service.errors import Busy, ImageRejected, InvalidInput, LabelNotFound
from service.records import Catalogue
from service.usecases.context import Context, partition_of
from service.usecases.hints import to_optimise
from service.usecases.reading import encoder_of, read_pictures
from service.usecases.resolver import Resolver, Serving

Picture = tuple[str, bytes]
"""Source name and bytes."""


def verify_pictures(
    context: Context,
    tenant: str,
    name: str,
    first: Picture,
    second: Picture,
    rule: Rule = "otsu",
    resolver: Resolver | None = None,
) -> dict[str, Any]:
    """Are both pictures of one class? The JSON of `holotype verify NAME A B`.

    Their similarity is half the cosine behind the head that serves, half how far they are answered alike
    (`core.agreement`); the cosine alone where the thresholds were set on that.

    Raises:
        CatalogueNotFound: the tenant has no such catalogue.
        InvalidInput: no threshold was measured, or the rule is unknown.
        ImageRejected: one of the pictures cannot be used.
        EncoderMismatch, NothingToServe: as for `classify`.
    """
    check_rule(rule)
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    resolver = resolver or Resolver(context)
    _measured(context, catalogue, resolver.serving(catalogue), "pictures")
    embeddings = _embedded(context, catalogue, first, second)
    resolved = resolver.resolve(catalogue, embeddings, AGREEING)
    serving = resolved.serving
    measured = _measured(context, catalogue, serving, "pictures")
    one, other = serving.projected(embeddings)
    similarity = float(np.clip(one @ other, -1.0, 1.0))
    if measured.get("compared") == WITH_ANSWERS:
        answer, again = resolved.predictions
        similarity = compared(similarity, answer.top, again.top, serving.recipe.temperature)
    return _answer(similarity, measured, rule, serving)


def verify_label(
    context: Context,
    tenant: str,
    name: str,
    picture: Picture,
    label: str,
    rule: Rule = "otsu",
    resolver: Resolver | None = None,
) -> dict[str, Any]:
    """Is the picture of that class? The JSON of `holotype verify NAME A --label L`.

    The similarity is half the class's score, the mean of its m best references, half the root of its probability; the
    score alone where the thresholds were set on that.

    Raises:
        LabelNotFound: no reference of that label serves.
        Busy: the active selection changed meanwhile.
        CatalogueNotFound, InvalidInput, ImageRejected, EncoderMismatch, NothingToServe: as for `verify_pictures`.
    """
    check_rule(rule)
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    resolver = resolver or Resolver(context)
    _measured(context, catalogue, resolver.serving(catalogue), "labels")
    embedding = _embedded(context, catalogue, picture)
    resolved = resolver.resolve(catalogue, embedding, AGREEING)
    serving = resolved.serving
    measured = _measured(context, catalogue, serving, "labels")
    (found,) = context.store.nearest(
        partition_of(catalogue),
        serving.using,
        serving.projected(embedding),
        {**serving.where, "label": label},
        serving.recipe.per_label,
    )
    if resolver.serving(catalogue).selection != serving.selection:
        raise Busy(f"the active selection of catalogue {name!r} changed while the picture was compared: try again")
    if not found:
        known = ", ".join(sorted(context.registry.example_counts(catalogue.id)[1])[:20])
        raise LabelNotFound(f"no reference of {label!r} serves in catalogue {name!r}; it knows {known}", label=label)
    similarity = float(np.mean([one.similarity for one in found]))
    if measured.get("compared") == WITH_ANSWERS:
        similarity = compared_with_class(similarity, resolved.predictions[0].top, serving.recipe.temperature)
    return _answer(similarity, measured, rule, serving)


def _measured(context: Context, catalogue: Catalogue, serving: Serving, kind: str) -> Mapping[str, Any]:
    """What was stored about such pairs. Raises InvalidInput where there is nothing."""
    if serving.selection is None:
        raise InvalidInput(
            f"catalogue {catalogue.name!r} was never optimised, so there is no threshold to verify by: run "
            f"{to_optimise(catalogue.name)} first",
            catalogue=catalogue.name,
        )
    figures = context.registry.selection(catalogue.id, serving.selection).figures
    found: Mapping[str, Any] | None = figures.get("verification", {}).get(kind)
    if found is None:
        raise InvalidInput(
            f"the selection that serves catalogue {catalogue.name!r} has no threshold to verify by: it needs two "
            "classes at least with several pictures each that were kept back; ingest more and run "
            f"{to_optimise(catalogue.name)} again",
            catalogue=catalogue.name,
        )
    return found


def _embedded(context: Context, catalogue: Catalogue, *pictures: Picture) -> Float32Array:
    read = read_pictures(context, encoder_of(context, catalogue), catalogue.tenant, [data for _, data in pictures])
    for (source, _), row in zip(pictures, read.rows, strict=True):
        if isinstance(row, str):
            raise ImageRejected(f"{source}: {row}", path=source)
    return read.embeddings


def _answer(similarity: float, measured: Mapping[str, Any], rule: Rule, serving: Serving) -> dict[str, Any]:
    one = measured[rule]
    return {
        "same": similarity >= one["threshold"],
        "similarity": similarity,
        "threshold": one["threshold"],
        "rule": rule,
        "tpr": one["tpr"],
        "tnr": one["tnr"],
        "eer": measured["eer_rate"],
        "same_pairs": measured.get("same"),  # None of an archive that does not tell
        "different_pairs": measured.get("different"),
        "selection": serving.selection,
        "measured_on": measured["measured_on"],
    }
