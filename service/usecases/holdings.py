"""A catalogue's usable examples, read into arrays for the core."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core.duplicates import joined_groups, near_duplicate_groups
from service.core.model import LabelledEmbeddings
from service.errors import NothingToServe, PublishIncomplete
from service.records import Catalogue, Example, ExampleState, Split
from service.usecases.context import Context
from service.usecases.missing_points import fetch_whole
from service.usecases.selections import chunked

FETCH_POINTS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """The three splits of a catalogue over one numbering of classes and near-duplicate groups.

    Pictures of the holdout with a near-duplicate in another split judge nothing: they are left out, and `straddling`
    says how many there were (splits that were given by hand, or pictures that were relabelled).
    `read_at` is when they were read, seconds since 1970.
    `split_hash` is a sha256 over every example's id, label and split: it changes whenever what chose or judged would.
    """

    support: LabelledEmbeddings
    tuning: LabelledEmbeddings
    holdout: LabelledEmbeddings
    split_hash: str
    straddling: int = 0
    read_at: float = 0.0


def load_holdings(context: Context, catalogue: Catalogue) -> Holdings:
    """Read every ACTIVE example with an assigned split.

    Raises NothingToServe when none is support, PublishIncomplete: as for `labelled_examples`.
    """
    read_at = context.clock()
    examples, data = labelled_examples(
        context,
        catalogue,
        [
            example
            for example in context.registry.examples(catalogue.id, state=ExampleState.ACTIVE)
            if example.split is not Split.UNASSIGNED
        ],
    )
    if data is None or not any(example.split is Split.SUPPORT for example in examples):
        raise NothingToServe(
            f"catalogue {catalogue.name!r} has {len(examples)} usable examples and none in the split 'support': "
            "ingest pictures in the split 'auto' or 'support'",
            catalogue=catalogue.name,
        )
    splits = np.array([example.split.value for example in examples])
    judging = splits == Split.HOLDOUT.value
    straddling = judging & np.isin(data.groups, data.groups[~judging])
    return Holdings(
        support=data.take(splits == Split.SUPPORT.value),
        tuning=data.take(splits == Split.TUNING.value),
        holdout=data.take(judging & ~straddling),
        split_hash=_split_hash(examples),
        straddling=int(straddling.sum()),
        read_at=read_at,
    )


def labelled_examples(
    context: Context, catalogue: Catalogue, wanted: Sequence[Example]
) -> tuple[list[Example], LabelledEmbeddings | None]:
    """Examples with their embeddings, row by row in the order given; without those that were dropped meanwhile.

    Rows whose points were lost get them again first, from what was stored with the picture.
    Near-duplicates, and crops of one picture, under one label are in one group.
    None for the embeddings of no example.
    Raises PublishIncomplete when a row has no point and it cannot be made again.
    """
    examples: list[Example] = []
    blocks = []
    for some in chunked(wanted, FETCH_POINTS):
        found = fetch_whole(context, catalogue, some)
        there = set(found.ids)
        _check_dropped(context, catalogue, [one.id for one in some if one.id not in there], len(some))
        if there and found.embeddings is not None:
            examples += [one for one in some if one.id in there]
            blocks.append(found.embeddings)
    if not examples:
        return [], None
    ids = [example.id for example in examples]
    embeddings = np.concatenate(blocks)
    classes, codes = np.unique([example.label for example in examples], return_inverse=True)
    codes = codes.astype(np.int64)
    groups = near_duplicate_groups(
        [example.perceptual_hash for example in examples],
        embeddings,
        codes,
        keys=[example.picture for example in examples],
    )
    groups = joined_groups(groups, codes, [example.content_hash for example in examples])
    return examples, LabelledEmbeddings(embeddings, codes, tuple(str(label) for label in classes), tuple(ids), groups)


def _check_dropped(context: Context, catalogue: Catalogue, lacking: Sequence[str], of: int) -> None:
    """Points go before their rows: one whose row is still there is lost. Raises PublishIncomplete."""
    lost = len(context.registry.examples_by_id(catalogue.id, lacking)) if lacking else 0
    if lost:
        raise PublishIncomplete(
            f"{lost} of {of} examples have a row and no point in the vector store: ingest the same pictures again",
            catalogue=catalogue.name,
        )


def _split_hash(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for example in sorted(examples, key=lambda example: example.id):
        digest.update(f"{example.id}\0{example.label}\0{example.split.value}\n".encode())
    return digest.hexdigest()
