"""Support, tuning and holdout for examples that came without a split: 60, 20 and 20 % of each class.

The choice hangs on the content hashes and a seed alone: not on file names, not on the order of arrival within a batch.
What has a split keeps it. Groups of near-duplicates stay whole. A class with fewer than `MIN_DISTINCT` groups is all
support: a tuning or holdout picture would cost it a fifth of its references and tell next to nothing, so it is judged
by cross-fitting instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from service.core.model import Float64Array, IntArray

SPLIT_NAMES = ("support", "tuning", "holdout")
SHARES = (0.6, 0.2, 0.2)
MIN_DISTINCT = 5
SPLIT_SEED = 0


def assign_splits(
    content_hashes: Sequence[str],
    codes: IntArray,
    groups: IntArray,
    existing: Sequence[str | None],
    seed: int = SPLIT_SEED,
) -> list[str]:
    """A split for every row; rows of the same group (of near-duplicates, same label) on one side.

    Within a class new groups are taken largest first, equal ones in the order of a seeded hash of their smallest
    content hash, and each goes where most pictures are missing: existing ones count. A group that holds a row with a
    split follows it (where its rows disagree: the split that most of them have, support before tuning before holdout).
    A class with at least `MIN_DISTINCT` groups has every split at least once, as far as its new groups reach.

    Args:
        content_hashes: n hex digests, the pictures' identity.
        codes: int64 (n,), the label of each row.
        groups: int64 (n,), equal for near-duplicates.
        existing: for each row "support", "tuning" or "holdout" to keep, or None to be assigned.
        seed: another seed, another choice.

    Returns:
        n names, "support", "tuning" or "holdout".

    Raises:
        ValueError: the arguments differ in length.
    """
    rows = len(codes)
    if not len(content_hashes) == len(groups) == len(existing) == rows:
        raise ValueError(f"{len(content_hashes)} hashes, {len(groups)} groups, {len(existing)} splits, {rows} codes")
    assigned: list[str] = [name or "" for name in existing]
    for code in np.unique(codes):
        units = _units(np.flatnonzero(codes == code), groups)
        _assign_class(units, content_hashes, assigned, seed)
    return assigned


def _units(rows: IntArray, groups: IntArray) -> list[list[int]]:
    """The class's rows, by group."""
    by_group: dict[int, list[int]] = {}
    for row in rows:
        by_group.setdefault(int(groups[row]), []).append(int(row))
    return list(by_group.values())


def _assign_class(units: list[list[int]], content_hashes: Sequence[str], assigned: list[str], seed: int) -> None:
    """Fill in the missing splits of one class."""
    fresh = []
    for unit in units:
        followed = _split_of(unit, assigned)
        if followed:
            _fill(unit, assigned, followed)
        else:
            fresh.append(unit)
    if len(units) < MIN_DISTINCT:
        for unit in fresh:
            _fill(unit, assigned, SPLIT_NAMES[0])
        return
    taken = [assigned[row] for unit in units for row in unit]
    counts = np.array([taken.count(name) for name in SPLIT_NAMES], dtype=np.float64)
    wanted = np.array(SHARES) * sum(len(unit) for unit in units)
    fresh.sort(key=lambda unit: (-len(unit), _rank(min(content_hashes[row] for row in unit), seed)))
    for left, unit in zip(range(len(fresh), 0, -1), fresh, strict=True):
        chosen = _most_wanting(wanted - counts, counts, left)
        _fill(unit, assigned, SPLIT_NAMES[chosen])
        counts[chosen] += len(unit)


def _most_wanting(missing: Float64Array, counts: Float64Array, left: int) -> int:
    """The split that lacks most pictures; an empty one, once there are only as many groups left as empty splits."""
    empty = counts == 0
    if 0 < left <= int(empty.sum()):
        missing = np.where(empty, missing, -np.inf)
    # Shares such as 0.6 are not exact in binary: without the rounding, ties would hang on their last digit.
    return int(np.argmax(np.round(missing, 6)))


def _split_of(unit: list[int], assigned: list[str]) -> str:
    """The split that the group has already, "" when none of its rows has one."""
    counts = [sum(assigned[row] == name for row in unit) for name in SPLIT_NAMES]
    return SPLIT_NAMES[int(np.argmax(counts))] if any(counts) else ""


def _fill(unit: list[int], assigned: list[str], name: str) -> None:
    for row in unit:
        assigned[row] = assigned[row] or name


def _rank(content_hash: str, seed: int) -> bytes:
    """A random-looking but fixed place in the queue."""
    return hashlib.sha256(f"{seed}:{content_hash}".encode()).digest()
