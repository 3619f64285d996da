"""Resolving embeddings to labels through whatever serves: the active selection, or all support examples without one.

The pointer is read before and after the search; where it moved in between, the query is asked once more. Either answer
is whole: a slot rests before it is written again, for far longer than a query takes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

import numpy as np

from service.core.model import Float32Array, Float64Array, Neighbour, Prediction
from service.core.neighbour_votes import shared_votes
from service.core.projection import Head
from service.core.recipe import Recipe
from service.core.rejection import Policy
from service.core.trust import readings_of, with_nearness
from service.core.voting import CONFIDENCE_CLASSES, vote
from service.core.words import Blend
from service.errors import NothingToServe
from service.ports import VectorName
from service.records import Catalogue, Selection, Split
from service.usecases.context import Context, partition_of
from service.usecases.describing import Words, blend_of, words_of
from service.usecases.relabelled import read_at
from service.usecases.selections import flagged, head_of, projection_of, recipe_of

CACHED_SELECTIONS = 8
ALL_LABELS = 10**9
DEFAULT_BLEND = Blend()

Scoring = Callable[[Mapping[str, float]], Mapping[str, float]]
"""Class scores by pictures to the class scores that count."""


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """What never changes about a selection: its head, and the labels that it has chosen references for."""

    head: Head | None
    labels: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """What answers a catalogue's queries now. `published` and `selection` are None before any optimisation.

    `policy` is None where too few answers were measured to say how far any can be trusted; `blend` weighs words;
    `measured` is when the examples were read that the selection knows of (`relabelled.read_at`).
    """

    selection: str | None
    using: VectorName
    where: Mapping[str, str]
    recipe: Recipe
    published: Published | None
    policy: Policy | None = None
    blend: Blend = DEFAULT_BLEND
    measured: float = 0.0

    def projected(self, embeddings: Float32Array) -> Float32Array:
        """Embeddings (n, d) in the space that is searched, (n, k)."""
        head = self.published.head if self.published else None
        return embeddings if head is None else head.project(embeddings)

    def is_provisional(self, label: str) -> bool:
        """Does the label answer through references that no optimisation chose?"""
        return self.published is not None and label not in self.published.labels


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """Predictions, what they were made with, and their readings (n, 3 or 4) as `core.trust` has them.

    `support` is how many support examples answer, with a selection 0. `words_only` are the labels that no picture
    answers for: they stand on words alone.
    """

    serving: Serving
    predictions: tuple[Prediction, ...]
    readings: Float64Array
    support: int = 0
    words_only: frozenset[str] = frozenset()


class Resolver:
    """Answers queries; keeps the heads of the last `kept` selections, and the words of as many catalogues.

    One a process; safe for several threads.
    """

    def __init__(self, context: Context, kept: int = CACHED_SELECTIONS) -> None:
        self._context = context
        self._kept = kept
        self._published: OrderedDict[str, Published] = OrderedDict()
        self._words: OrderedDict[str, tuple[str, Words]] = OrderedDict()
        self._lock = Lock()

    def resolve(self, catalogue: Catalogue, embeddings: Float32Array, top: int, *, trusted: bool = False) -> Resolved:
        """Predictions for unit embeddings (n, d), each naming `top` labels.

        With `trusted` the readings are all that the policy asks for, perhaps by another search. Raises NothingToServe.
        """
        resolved = self._by_what_serves(catalogue, embeddings, top)
        policy = resolved.serving.policy
        if not (trusted and policy is not None and policy.trust.reads_nearness):
            return resolved
        return replace(resolved, readings=with_nearness(resolved.readings, self._nearness(catalogue, embeddings)))

    def _by_what_serves(self, catalogue: Catalogue, embeddings: Float32Array, top: int) -> Resolved:
        """By the selection that still serves when the answer is there: a slot left for long is written anew."""
        try:
            resolved = self._once(catalogue, embeddings, top)
            if resolved.serving.selection == self._active(catalogue):
                return resolved
        except NothingToServe as error:
            if error.details.get("selection") == self._active(catalogue):
                raise
        return self._once(catalogue, embeddings, top)

    def _active(self, catalogue: Catalogue) -> str | None:
        return self._context.registry.catalogue_by_id(catalogue.id).active_selection

    def _nearness(self, catalogue: Catalogue, embeddings: Float32Array) -> Float32Array:
        """The largest raw similarity with a support picture, (n,); -1 where there is none."""
        where = {"split": Split.SUPPORT.value}
        found = self._context.store.nearest(partition_of(catalogue), "embedding", embeddings, where, 1)
        return np.array([one[0].similarity if one else -1.0 for one in found], dtype=np.float32)

    def serving(self, catalogue: Catalogue) -> Serving:
        """What answers now; the pointer and the slot are read anew each time, a rollback may have moved both."""
        active = self._active(catalogue)
        if active is None:
            return Serving(None, "embedding", {"split": Split.SUPPORT.value}, Recipe(), None)
        selection = self._context.registry.selection(catalogue.id, active)
        where = flagged(selection.slot, selection.id)
        stored = selection.figures.get("policy")
        policy = None if stored is None else Policy.from_dict(stored)
        blend = blend_of(selection.figures, policy)
        using, published = projection_of(selection.slot), self._of(selection)
        return Serving(active, using, where, recipe_of(selection), published, policy, blend, read_at(selection))

    def _once(self, catalogue: Catalogue, embeddings: Float32Array, top: int) -> Resolved:
        serving = self.serving(catalogue)
        words = self._words_of(catalogue)
        # A class with words may win though others are nearer by their pictures, so all are asked for.
        wanted = max(top, CONFIDENCE_CLASSES, serving.recipe.neighbours or 0) if words is None else ALL_LABELS
        support, labels = self._answering(catalogue, serving, wanted)
        projections = serving.projected(embeddings)
        found = self._context.store.nearest_per_label(
            partition_of(catalogue), serving.using, projections, serving.where, serving.recipe.per_label, labels=labels
        )
        if words is None and not all(found):
            raise NothingToServe(
                f"catalogue {catalogue.name!r} holds no example that could answer: ingest labelled pictures in the "
                "split 'auto' or 'support'",
                catalogue=catalogue.name,
                selection=serving.selection,
            )
        recipe = serving.recipe
        blends: Sequence[Scoring | None] = [None] * len(found)
        if words is not None:
            blends = self._blends(catalogue, serving, words, embeddings)
        if recipe.neighbours is not None:
            found, blends = self._voters(catalogue, serving, recipe.neighbours, projections, found, blends)
        voted = tuple(
            vote(one, recipe.per_label, recipe.temperature, top, blend, recipe.neighbours)
            for one, blend in zip(found, blends, strict=True)
        )
        table = readings_of(voted)
        pictured = {neighbour.label for one in found for neighbour in one}
        alone = frozenset() if words is None else frozenset(words.labels) - pictured
        return Resolved(serving, _calibrated(voted, table, serving.policy), table, support, alone)

    def _voters(
        self,
        catalogue: Catalogue,
        serving: Serving,
        neighbours: int,
        projections: Float32Array,
        found: list[list[Neighbour]],
        blends: Sequence[Scoring | None],
    ) -> tuple[list[list[Neighbour]], list[Scoring | None]]:
        """The nearest among what was found, and for each query what makes class scores of their votes."""
        sizes = self._context.registry.member_counts(str(serving.selection))
        nearest = self._context.store.nearest(
            partition_of(catalogue), serving.using, projections, serving.where, neighbours
        )
        told = [
            [*voters, *(one for one in best if one.example_id not in {voter.example_id for voter in voters})]
            for voters, best in zip(nearest, found, strict=True)
        ]
        scorings: list[Scoring | None] = [
            partial(_by_votes, voters, sizes, neighbours, blend) for voters, blend in zip(nearest, blends, strict=True)
        ]
        return told, scorings

    def _blends(self, catalogue: Catalogue, serving: Serving, words: Words, embeddings: Float32Array) -> list[Scoring]:
        """For each query what turns its scores by pictures into scores by words and pictures."""
        images = self._context.registry.example_counts(catalogue.id, words.labels)[1]
        similarities = (embeddings @ words.embeddings.T).tolist()
        return [
            partial(_blended, serving.blend, images, dict(zip(words.labels, row, strict=True))) for row in similarities
        ]

    def _words_of(self, catalogue: Catalogue) -> Words | None:
        """The catalogue's words; None without any. Read anew whenever they changed."""
        version = self._context.registry.prompts_version(catalogue.id)
        with self._lock:
            known = self._words.get(catalogue.id)
        if not version or catalogue.fingerprint is None:
            return None
        if known is not None and known[0] == version:
            return known[1]
        prompts = self._context.registry.prompts(catalogue.id)
        if not prompts:  # taken away meanwhile
            return None
        words = words_of(prompts, catalogue.fingerprint.dimension)
        with self._lock:
            # Words that came after the version was asked for are there under the former one, and are read once more.
            self._words[catalogue.id] = (version, words)
            self._words.move_to_end(catalogue.id)
            while len(self._words) > self._kept:
                self._words.popitem(last=False)
        return words

    def _answering(self, catalogue: Catalogue, serving: Serving, wanted: int) -> tuple[int, int]:
        """How many support examples answer, and how many labels to ask for.

        No more labels than there are, or the store would look for them until its last point. A selection that has
        chosen references of as many as are wanted, which never changes, needs no counting.
        """
        if serving.selection is None or serving.published is None:
            splits, by_label = self._context.registry.example_counts(catalogue.id)
            return splits.get(Split.SUPPORT, 0), max(1, min(wanted, len(by_label)))
        if len(serving.published.labels) >= wanted:
            return 0, wanted
        return 0, max(1, min(wanted, len(self._context.registry.member_counts(serving.selection))))

    def _of(self, selection: Selection) -> Published:
        with self._lock:
            known = self._published.get(selection.id)
            if known is not None:
                self._published.move_to_end(selection.id)
                return known
        members = self._context.registry.members(selection.id)
        labels = frozenset(member.label for member in members if not member.provisional)
        published = Published(head_of(self._context, selection), labels)
        with self._lock:
            self._published[selection.id] = published
            while len(self._published) > self._kept:
                self._published.popitem(last=False)
        return published


def _by_votes(
    voters: Sequence[Neighbour],
    sizes: Mapping[str, int],
    neighbours: int,
    blend: Scoring | None,
    best: Mapping[str, float],
) -> Mapping[str, float]:
    """Class scores by the votes of the nearest, with words weighed in where there are any."""
    votes = shared_votes(best, voters, sizes, neighbours)
    return votes if blend is None else blend(votes)


def _blended(
    blend: Blend, images: Mapping[str, int], similarities: Mapping[str, float], scores: Mapping[str, float]
) -> dict[str, float]:
    """Class scores by pictures, those of described classes blended with what their words say, or made of it."""
    told = {
        label: blend.score(scores.get(label), similarity, images.get(label, 0))
        for label, similarity in similarities.items()
    }
    return {**scores, **told}


def _calibrated(
    predictions: tuple[Prediction, ...], table: Float64Array, policy: Policy | None
) -> tuple[Prediction, ...]:
    """The predictions with the confidence that measured better, where that is not the softmax."""
    if policy is None or policy.confidence is None:
        return predictions
    sure = policy.confidence.probabilities(table).tolist()
    return tuple(replace(one, confidence=value) for one, value in zip(predictions, sure, strict=True))


def classify_embeddings(
    context: Context, catalogue: Catalogue, embeddings: Float32Array, top: int, resolver: Resolver | None = None
) -> tuple[str | None, Sequence[Prediction]]:
    """Predictions for unit embeddings (n, d), and the id of the selection that answered, None before any."""
    resolved = (resolver or Resolver(context)).resolve(catalogue, embeddings, top)
    return resolved.serving.selection, resolved.predictions
