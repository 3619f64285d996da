"""Hygiene: what may be wrong with a catalogue, and what a person accepts of it.

Exact duplicates are not looked for: a picture's id is made from its content, so a catalogue holds each picture once,
and one that was handed over under two labels is in conflict.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from service.core.crop import Crop
from service.core.hygiene import BLANK_SHARE, plain_share
from service.errors import ImageRejected, InvalidInput, NotFound
from service.records import Catalogue, Example, ExampleState
from service.usecases.context import Context, OnProgress, image_key, partition_of
from service.usecases.findings import Advice, Finding, FindingKind, accepted, decisive, kinds_by_example
from service.usecases.holdings import labelled_examples
from service.usecases.splitting import batches
from service.usecases.survey import Survey

STAGE_COMPARE, STAGE_LOOK = "comparing", "looking"
LOOK_EDGE_PX = 64
"""JPEGs are decoded as small as this: a plain surface is plain at any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HygieneReport:
    """What was found.

    Attributes:
        examples: how many were looked at, those in conflict included.
        findings: those that nobody has accepted, by kind, the strongest first; of a picture the most decisive one.
        accepted: how many are not listed because somebody has kept the example.
        unreadable: ids of examples whose stored bytes are gone or cannot be decoded any more.
    """

    examples: int
    findings: tuple[Finding, ...]
    accepted: int
    unreadable: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON of `holotype hygiene`."""
        counts = Counter(one.kind.value for one in self.findings)
        return {
            "examples": self.examples,
            "counts": {kind.value: counts[kind.value] for kind in FindingKind},
            "findings": [one.as_dict() for one in self.findings],
            "accepted": self.accepted,
            "unreadable": list(self.unreadable),
        }


def survey_hygiene(context: Context, tenant: str, name: str, on_progress: OnProgress) -> HygieneReport:
    """Look at every example of a catalogue; every picture is decoded once.

    Raises:
        CatalogueNotFound: there is none.
        NothingToServe: nothing was embedded yet.
        PublishIncomplete: an example has no point in the vector store.
        Unavailable: the blob store does not answer.
    """
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    examples = context.registry.examples(catalogue.id)
    everything, unreadable = looked_over(context, catalogue, examples, on_progress)
    kept = context.registry.kept_findings(catalogue.id)
    open_ones = [one for one in everything if not accepted(one, kept)]
    about = [
        (one.kind, None if one.example is None else one.example.id, [other.id for other in one.others])
        for one in open_ones
    ]
    return HygieneReport(
        examples=len(examples),
        findings=tuple(itertools.compress(open_ones, decisive(about))),
        accepted=len(everything) - len(open_ones),
        unreadable=tuple(unreadable),
    )


def looked_over(
    context: Context, catalogue: Catalogue, examples: Sequence[Example], on_progress: OnProgress
) -> tuple[list[Finding], list[str]]:
    """All findings about the examples, accepted and less decisive ones too, and ids of those that cannot be read.

    Raises PublishIncomplete, Unavailable: as for `survey_hygiene`.
    """
    on_progress(STAGE_COMPARE, 0, 1)
    findings = _told_by_rows(context, catalogue, examples)
    on_progress(STAGE_COMPARE, 1, 1)
    blank, unreadable = _blank(context, catalogue, examples, lambda done: on_progress(STAGE_LOOK, done, len(examples)))
    order = list(FindingKind)
    return sorted([*findings, *blank], key=lambda one: order.index(one.kind)), unreadable


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeping did.

    Attributes:
        kinds: every kind that is accepted, in the order of listing, by id of the example.
        taken_back: ids of dropped pictures that are stored again when they are handed over again.
    """

    kinds: Mapping[str, Sequence[str]]
    taken_back: Sequence[str]


def keep(context: Context, tenant: str, name: str, example_ids: Sequence[str]) -> Kept:
    """Accept what is found about examples now: those kinds are not listed for them again; take back what was dropped.

    Kinds that a more decisive one hides are accepted, too: the example is right, label and all.

    Relabelling an example makes it new in this regard.

    Returns:
        Each id once, in the order asked.

    Raises:
        CatalogueNotFound, NothingToServe, PublishIncomplete, Unavailable: as for `survey_hygiene`.
        ExampleNotFound: one of the ids is unknown; nothing was changed.
        InvalidInput: one of the examples is in conflict; nothing was changed.
    """
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    dropped = {one.example_id for one in context.registry.dropped(catalogue.id, example_ids)}
    taken_back = [example_id for example_id in dict.fromkeys(example_ids) if example_id in dropped]
    wanted = (example_id for example_id in dict.fromkeys(example_ids) if example_id not in dropped)
    asked = [context.registry.example(catalogue.id, example_id) for example_id in wanted]
    held = [one.id for one in asked if one.state is ExampleState.CONFLICT]
    if held:
        raise InvalidInput(
            f"example {held[0]} was handed over under several labels: `relabel` says which it has, `drop` takes it out",
            examples=held,
        )
    context.registry.take_back(catalogue.id, taken_back)
    return Kept(_accept(context, catalogue, asked) if asked else {}, taken_back)


def _accept(context: Context, catalogue: Catalogue, asked: Sequence[Example]) -> dict[str, list[str]]:
    findings = _told_by_rows(context, catalogue, context.registry.examples(catalogue.id))
    blank, _ = _blank(context, catalogue, asked, lambda _: None)
    kinds = kinds_by_example([*findings, *blank])
    context.registry.keep_findings(catalogue.id, {one.id: kinds[one.id] for one in asked if one.id in kinds})
    kept = context.registry.kept_findings(catalogue.id)
    return {one.id: [kind.value for kind in FindingKind if kind.value in kept.get(one.id, ())] for one in asked}


def _told_by_rows(context: Context, catalogue: Catalogue, examples: Sequence[Example]) -> list[Finding]:
    """All but what takes pixels."""
    conflicts = [_conflict(one) for one in examples if one.state is ExampleState.CONFLICT]
    active = [one for one in examples if one.state is ExampleState.ACTIVE]
    there, data = labelled_examples(context, catalogue, active)
    return conflicts if data is None else [*conflicts, *Survey.of(there, data).findings()]


def _conflict(example: Example) -> Finding:
    return Finding(
        kind=FindingKind.CONFLICT,
        labels=example.conflict_labels,
        example=example,
        suggested=Advice.RELABEL,
        why=f"handed over as {' and as '.join(example.conflict_labels)}; it answers nothing until somebody decides",
    )


def _blank(
    context: Context, catalogue: Catalogue, examples: Sequence[Example], on_done: Callable[[int], None]
) -> tuple[list[Finding], list[str]]:
    """Pictures that show one colour, the plainest first, and the ids of those that cannot be looked at."""
    found: list[tuple[float, Example]] = []
    unreadable: list[str] = []
    done = 0
    on_done(done)
    for batch, shares in _looked_at(context, catalogue, examples):
        for example, share in zip(batch, shares, strict=True):
            if share is None:
                unreadable.append(example.id)
            elif share >= BLANK_SHARE:
                found.append((share, example))
        done += len(batch)
        on_done(done)
    found.sort(key=lambda pair: (-pair[0], pair[1].picture))
    return [_blank_finding(share, example) for share, example in found], unreadable


def _looked_at(
    context: Context, catalogue: Catalogue, examples: Sequence[Example]
) -> Iterator[tuple[Sequence[Example], list[float | None]]]:
    """The share of plain pixels of every picture, decoded in threads; None where it cannot be decoded."""

    def look(example: Example) -> float | None:
        try:
            data = context.blobs.get(image_key(catalogue.tenant, example.content_hash))
            crop = Crop.parse(example.crop)
            box = None if crop is None else crop.box
            return plain_share(context.decoder.decode(data, LOOK_EDGE_PX, box).pixels)
        except (NotFound, ImageRejected):
            return None

    with ThreadPoolExecutor(context.limits.decode_threads, thread_name_prefix="decode") as pool:
        for batch in batches(examples, context.limits.chunk_images):
            yield batch, list(pool.map(look, batch))


def _blank_finding(share: float, example: Example) -> Finding:
    return Finding(
        kind=FindingKind.BLANK,
        labels=(example.label,),
        example=example,
        numbers={"plain_share": share},
        suggested=Advice.DROP,
        why=f"{100 * share:.1f} % of its pixels have one colour",
    )
