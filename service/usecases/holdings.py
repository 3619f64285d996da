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
from service.usecases.context import Context, partition_of
from service.usecases.missing_points import bring_back_points

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

    Rows without a point get it again first, from what was stored with the picture.
    Raises NothingToServe when none is support, PublishIncomplete when rows have no point and it cannot be made again.
    """
    try:
        return _read_holdings(context, catalogue)
    except PublishIncomplete:
        # Examples are being dropped, whose points go first, or a drop was broken off in between.
        bring_back_points(context, catalogue, ())
    return _read_holdings(context, catalogue)


def _read_holdings(context: Context, catalogue: Catalogue) -> Holdings:
    read_at = context.clock()
    examples = [
        example
        for example in context.registry.examples(catalogue.id)
        if example.state is ExampleState.ACTIVE and example.split is not Split.UNASSIGNED
    ]
    if not any(example.split is Split.SUPPORT for example in examples):
        raise NothingToServe(
            f"catalogue {catalogue.name!r} has {len(examples)} usable examples and none in the split 'support': "
            "ingest pictures with --split auto or support",
            catalogue=catalogue.name,
        )
    data = labelled_examples(context, catalogue, examples)
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


def labelled_examples(context: Context, catalogue: Catalogue, examples: Sequence[Example]) -> LabelledEmbeddings:
    """Examples with their embeddings, one row each in the order given.

    Near-duplicates, and crops of one picture, under one label are in one group.
    Raises PublishIncomplete when rows have no point in the store.
    """
    ids = [example.id for example in examples]
    blocks = []
    for start in range(0, len(ids), FETCH_POINTS):
        wanted = ids[start : start + FETCH_POINTS]
        found = context.store.fetch(partition_of(catalogue), wanted)
        if list(found.ids) != wanted or found.embeddings is None:
            raise PublishIncomplete(
                f"{len(wanted) - len(found.ids)} of {len(wanted)} examples have a row and no point in the "
                "vector store: ingest the same pictures again",
                catalogue=catalogue.name,
            )
        blocks.append(found.embeddings)
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
    return LabelledEmbeddings(embeddings, codes, tuple(str(label) for label in classes), tuple(ids), groups)


def _split_hash(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for example in sorted(examples, key=lambda example: example.id):
        digest.update(f"{example.id}\0{example.label}\0{example.split.value}\n".encode())
    return digest.hexdigest()
