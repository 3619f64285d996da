"""Words that classes start from: prompts by class, their embeddings, and how answers weigh them against pictures."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.crossfit import CrossFitter
from service.core.model import Float32Array
from service.core.recipe import Recipe
from service.core.rejection import Policy
from service.core.vectors import checked_embeddings, normalised
from service.core.words import LEAST_SPREAD, Blend, Evidence, Scale, chosen_blend
from service.errors import InvalidInput, NotFound
from service.ports import Encoder
from service.records import Catalogue, ClassPrompts
from service.usecases.context import Context
from service.usecases.labels import checked_label, label_asked_for
from service.usecases.reading import encoder_of

DEFAULT_TEMPLATES = ("a photo of a {label}.", "a close-up photo of a {label}.", "a photo of one {label}.")
"""For whoever gives none: a few ways of saying it, as CLIP's authors average them."""
PLACE = "{label}"
MOST_TEMPLATES = 50
MOST_CHARACTERS = 500
FIGURES = "words"
"""Name of the blend among a selection's figures."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The prompts of a catalogue: `labels`, and their embeddings, float32 (c, d), unit rows in the raw space."""

    labels: tuple[str, ...]
    embeddings: Float32Array


def describe(context: Context, tenant: str, name: str, label: str, templates: Sequence[str] = ()) -> ClassPrompts:
    """Let a class start from words, or replace its words; it needs no picture, and none is changed.

    In templates "{label}" stands for the label; without any, DEFAULT_TEMPLATES are taken. What is kept is the mean of
    the texts' embeddings, of unit length.

    Raises:
        CatalogueNotFound: there is none.
        EncoderMismatch: as for `classify`.
        InvalidInput: the encoder knows no text, or label or templates cannot be used.
    """
    catalogue = context.registry.catalogue(tenant, name)
    checked = checked_label(label)
    wanted = _checked(templates) or DEFAULT_TEMPLATES
    encoder = encoder_of(context, catalogue)
    if not encoder.encodes_text:
        raise InvalidInput(
            f"the encoder {catalogue.encoder!r} of catalogue {catalogue.name!r} knows pictures only: let the class "
            "start from pictures, or make a catalogue with a CLIP encoder",
            encoder=catalogue.encoder,
        )
    embedding = _mean_of(encoder, [template.replace(PLACE, checked) for template in wanted])
    # The collection first: a catalogue with a fingerprint always has one, whatever is asked of it.
    context.store.open_collection(encoder.fingerprint.collection, encoder.fingerprint.dimension)
    context.registry.pin_fingerprint(catalogue.id, encoder.fingerprint)
    prompts = ClassPrompts(
        label=checked, templates=wanted, embedding=embedding.astype("<f4").tobytes(), made_at=context.clock()
    )
    context.registry.put_prompts(catalogue.id, [prompts])
    return prompts


def descriptions(context: Context, tenant: str, name: str) -> list[ClassPrompts]:
    """The prompts of all classes that have some, by label. Raises CatalogueNotFound."""
    return context.registry.prompts(context.registry.catalogue(tenant, name).id)


def description(context: Context, tenant: str, name: str, label: str) -> ClassPrompts:
    """A class's prompts. Raises CatalogueNotFound, InvalidInput for what is no label, NotFound where it has none."""
    checked = label_asked_for(label)
    for one in descriptions(context, tenant, name):
        if one.label == checked:
            return one
    raise _no_prompts(name, checked)


def forget_description(context: Context, tenant: str, name: str, label: str) -> None:
    """Take a class's words away; its pictures stay. Raises as `description`."""
    checked = label_asked_for(label)
    if not context.registry.delete_prompts(context.registry.catalogue(tenant, name).id, checked):
        raise _no_prompts(name, checked)


def as_dict(prompts: ClassPrompts) -> dict[str, Any]:
    """JSON of `holotype describe`."""
    return {"label": prompts.label, "templates": list(prompts.templates), "made_at": prompts.made_at}


def words_of(prompts: Sequence[ClassPrompts], dimension: int) -> Words:
    """Their embeddings as rows. Raises InvalidInput for an embedding of another width."""
    rows = [np.frombuffer(one.embedding, dtype="<f4").astype(np.float32) for one in prompts]
    return Words(tuple(one.label for one in prompts), checked_embeddings(np.stack(rows), dimension))


def blend_of(figures: Mapping[str, Any], policy: Policy | None) -> Blend:
    """How a selection's answers weigh words.

    As its optimisation measured it; where there were no words then, by where its right answers and their rivals lay;
    where that was not measured either, the stated default.
    """
    if (found := figures.get(FIGURES)) is not None:
        return Blend.from_dict(found)
    if policy is not None:
        best, margin = policy.typical[:2]
        if margin >= LEAST_SPREAD:
            return Blend(image=Scale(best - margin / 2, margin))
    return Blend()


def measured_blend(
    context: Context, catalogue: Catalogue, fitter: CrossFitter | None, recipe: Recipe
) -> dict[str, Any]:
    """Figures of an optimisation about words: the blend that cross-fitting chose; empty without words or folds."""
    prompts = context.registry.prompts(catalogue.id)
    if not prompts or fitter is None:
        return {}
    data = fitter.data
    words = words_of(prompts, data.embeddings.shape[1])
    text = np.full((len(data), len(data.classes)), -np.inf, dtype=np.float32)
    places = {label: column for column, label in enumerate(data.classes)}
    for row, label in enumerate(words.labels):
        if label in places:
            text[:, places[label]] = data.embeddings @ words.embeddings[row]
    in_fold = np.zeros((fitter.folds, len(data.classes)), dtype=np.int64)
    np.add.at(in_fold, (fitter.fold_of, data.codes), 1)
    images = (in_fold.sum(axis=0) - in_fold)[fitter.fold_of]
    blend, tried = chosen_blend(Evidence(fitter.run(recipe).scores, text, data.codes, images))
    return {FIGURES: blend.as_dict(), f"{FIGURES}_tried": tried}


def _mean_of(encoder: Encoder, texts: Sequence[str]) -> Float32Array:
    """Unit mean of the texts' embeddings, float32 (d,). Raises InvalidInput where they cancel out."""
    rows = checked_embeddings(encoder.encode_text(list(texts)), encoder.fingerprint.dimension)
    mean = rows.astype(np.float64).mean(axis=0)
    if np.linalg.norm(mean) < 1e-6:
        raise InvalidInput(f"the {len(texts)} texts say opposite things to the encoder: their embeddings cancel out")
    return np.asarray(normalised(mean[None].astype(np.float32))[0])


def _checked(templates: Sequence[str]) -> tuple[str, ...]:
    if len(templates) > MOST_TEMPLATES:
        raise InvalidInput(f"{len(templates)} templates were given; at most {MOST_TEMPLATES} a class are taken")
    return tuple(dict.fromkeys(_template(one) for one in templates))


def _template(given: str) -> str:
    text = unicodedata.normalize("NFC", given.strip())
    if not text:
        raise InvalidInput('a template is empty: say what the pictures show, such as "a photo of a {label}"')
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(
            f"the template {text[:30]!r}... has {len(text)} characters; at most {MOST_CHARACTERS} are taken"
        )
    if any(unicodedata.category(one) in {"Cc", "Cs"} for one in text):
        raise InvalidInput(f"the template {text[:50]!a} holds control characters or is not valid UTF-8")
    return text


def _no_prompts(name: str, label: str) -> NotFound:
    return NotFound(
        f"the class {label!r} of catalogue {name!r} has no prompts: list them to see which have",
        label=label,
    )
