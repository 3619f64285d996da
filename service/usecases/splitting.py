"""Splits of a catalogue's examples: decided in the registry, then copied into the payloads that queries filter by.

Rows first, payloads second: the rows are the truth, and `align_payloads` compares all of them with the payloads, so a
crash between the two is healed by whoever comes next, while a payload without its row would be nobody's decision.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.core.duplicates import joined_groups, near_duplicate_groups
from service.core.model import IntArray
from service.core.splits import assign_splits
from service.ports import Partition
from service.records import Catalogue, Example, ExampleState, Split
from service.usecases.context import Context, partition_of
from service.usecases.example_pages import example_pages
from service.usecases.missing_points import fetch_whole
from service.usecases.points import CONFLICT_SPLIT, payload_split

logger = logging.getLogger(__name__)

BATCH = 500

Value = TypeVar("Value")


def splits_lease(catalogue: Catalogue) -> str:
    """Name of the lease under which splits are assigned: two jobs of one catalogue must not do so side by side."""
    return f"splits:{catalogue.id}"


def assign_open_splits(context: Context, catalogue: Catalogue) -> int:
    """Give every active example without a split its split, class by class; returns how many. Call under the lease.

    Small classes are read and written together, so that a catalogue of many of them does not cost several calls each.

    Raises:
        Unavailable: the store or the registry does not answer.
    """
    registry = context.registry
    waiting = example_pages(registry, catalogue, split=Split.UNASSIGNED, state=ExampleState.ACTIVE)
    labels = sorted({example.label for page in waiting for example in page})
    assigned = 0
    for some in _together(registry.example_counts(catalogue.id, labels)[1]):
        examples = registry.examples(catalogue.id, state=ExampleState.ACTIVE, labels=some)
        fresh = {example.id for example in examples if example.split is Split.UNASSIGNED}
        if not fresh:  # dropped or relabelled meanwhile
            continue
        names = assign_splits(
            [example.picture for example in examples],
            _codes(examples),
            duplicate_groups(context, catalogue, examples),
            [None if example.id in fresh else example.split.value for example in examples],
        )
        chosen = {example.id: Split(name) for example, name in zip(examples, names, strict=True) if example.id in fresh}
        registry.set_splits(catalogue.id, chosen)
        assigned += len(chosen)
    return assigned


def _together(counts: Mapping[str, int]) -> Iterator[list[str]]:
    """The labels, as many at a time as have `BATCH` examples; a larger class comes alone."""
    some: list[str] = []
    size = 0
    for label, count in counts.items():
        if some and size + count > BATCH:
            yield some
            some, size = [], 0
        some.append(label)
        size += count
    if some:
        yield some


def _codes(examples: Sequence[Example]) -> IntArray:
    """The examples' labels as numbers, int64 (n,)."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(example.label, len(numbers)) for example in examples], dtype=np.int64)


def duplicate_groups(context: Context, catalogue: Catalogue, examples: Sequence[Example]) -> IntArray:
    """Groups of examples of one class that must lie in one split, int64 (n,): near-duplicates, crops of one picture.

    Those that have a split are grouped first.
    """
    stored = fetch_whole(context, catalogue, examples)
    if stored.embeddings is None or len(stored.ids) == 0:
        return np.arange(len(examples), dtype=np.int64)
    codes = _codes(examples)
    place = {example_id: row for row, example_id in enumerate(stored.ids)}
    there = [row for row, example in enumerate(examples) if example.id in place]
    found = near_duplicate_groups(
        [examples[row].perceptual_hash for row in there],
        stored.embeddings[[place[examples[row].id] for row in there]],
        codes[there],
        keys=[f"{examples[row].split is Split.UNASSIGNED:d}{examples[row].picture}" for row in there],
    )
    # An example whose point is lost resembles nothing that can be told: a group of its own.
    groups = np.arange(len(there), len(there) + len(examples), dtype=np.int64)
    groups[there] = found
    return joined_groups(groups, codes, [one.content_hash for one in examples])


def align_payloads(context: Context, catalogue: Catalogue) -> int:
    """Make the payload splits what the rows say, examples in conflict included; returns how many differed."""
    partition = partition_of(catalogue)
    values = (*(split.value for split in Split), CONFLICT_SPLIT)
    # The store before the registry: rows change first, so what is written here is never older than what was found.
    found = [(value, _packed(context.store.ids(partition, {"split": value}))) for value in values]
    changed = 0
    for page in example_pages(context.registry, catalogue):
        differing = _differing(page, found)
        _write_splits(context, partition, differing)
        changed += len(differing)
    return changed


def _packed(ids: Sequence[str]) -> NDArray[np.bytes_]:
    """Sorted UUIDs as 16 bytes each, in the same order: a million take 16 MB, as texts in a dictionary 130."""
    return np.frombuffer(bytes.fromhex("".join(ids).replace("-", "")), dtype="S16")


def _differing(page: Sequence[Example], found: Sequence[tuple[str, NDArray[np.bytes_]]]) -> dict[str, str]:
    """The splits of those rows whose points were found under another one."""
    keys = _packed([example.id for example in page])
    under = [""] * len(page)
    for value, held in found:
        places = np.searchsorted(held, keys)
        for row in np.flatnonzero(np.searchsorted(held, keys, side="right") > places):
            under[row] = value
    return {
        example.id: payload_split(example)
        for example, value in zip(page, under, strict=True)
        if value and value != payload_split(example)
    }


def _write_splits(context: Context, partition: Partition, splits: Mapping[str, str]) -> None:
    for batch in batches(list(splits.items())):
        context.store.set_payload(partition, {example_id: {"split": value} for example_id, value in batch})


def batches(values: Sequence[Value], size: int = BATCH) -> Iterator[Sequence[Value]]:
    """The values, `size` at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
