"""Examples: labelled, embedded images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, literal_column, select, update

from service.adapters.registry_sql.database import Part, reading, records, upsert, writing
from service.adapters.registry_sql.jobs import FINISHED
from service.adapters.registry_sql.schema import (
    catalogues,
    deleted,
    examples,
    items,
    jobs,
    kept_findings,
    members,
    relabelled,
    selections,
)
from service.core.crop import picture_name
from service.errors import ExampleNotFound, quoted
from service.records import Example, ExampleState, ItemState, Split

NAMES_A_STATEMENT = 1000
"""Ids in one IN list: SQLite takes 32 766 parameters, and shorter statements are planned better."""


class Examples(Part):
    """Implements `ports.ExampleRegistry`."""

    @reading
    def examples(
        self,
        connection: Connection,
        catalogue_id: str,
        split: Split | None = None,
        state: ExampleState | None = None,
        labels: Sequence[str] | None = None,
    ) -> list[Example]:
        found = _chosen(select(examples).where(examples.c.catalogue_id == catalogue_id), split, state)
        if labels is None:
            return records(Example, connection.execute(found.order_by(examples.c.id)))
        some_of_them: list[Example] = []
        for some in batches(labels):
            some_of_them += records(Example, connection.execute(found.where(examples.c.label.in_(some))))
        return sorted(some_of_them, key=lambda example: example.id)

    @reading
    def example(self, connection: Connection, catalogue_id: str, example_id: str) -> Example:
        found = select(examples).where(examples.c.catalogue_id == catalogue_id, examples.c.id == example_id)
        return _one(records(Example, connection.execute(found)), example_id)

    @reading
    def examples_by_hash(
        self, connection: Connection, catalogue_id: str, content_hashes: Sequence[str]
    ) -> dict[str, Example]:
        """Of several crops of one picture, the one with the lowest id."""
        found = select(examples).where(examples.c.catalogue_id == catalogue_id).order_by(examples.c.id)
        by_hash: dict[str, Example] = {}
        for some in batches(content_hashes):
            for example in records(Example, connection.execute(found.where(examples.c.content_hash.in_(some)))):
                by_hash.setdefault(example.content_hash, example)
        return by_hash

    @reading
    def example_counts(
        self, connection: Connection, catalogue_id: str, labels: Sequence[str] | None = None
    ) -> tuple[dict[Split, int], dict[str, int]]:
        """What no example has counts 0 when asked for."""
        counted = (
            select(examples.c.split, examples.c.label, func.count().label("count"))
            .where(examples.c.catalogue_id == catalogue_id, examples.c.state == ExampleState.ACTIVE)
            .group_by(examples.c.split, examples.c.label)
            .order_by(examples.c.label)
        )
        # The splits are written out, all of them, so that the index serves the label that comes after them.
        few = counted.where(examples.c.split.in_(list(Split)))
        asked = [counted] if labels is None else [few.where(examples.c.label.in_(some)) for some in batches(labels)]
        by_split: Counter[Split] = Counter()
        by_label: Counter[str] = Counter()
        for one in asked:
            for split, label, count in connection.execute(one):
                by_split[split] += count
                by_label[label] += count
        return by_split, by_label

    @writing
    def set_splits(self, connection: Connection, catalogue_id: str, splits: Mapping[str, Split]) -> None:
        """Ids that are not there any more are passed over."""
        by_split = defaultdict(list)
        for example_id, split in splits.items():
            by_split[split].append(example_id)
        change = update(examples).where(examples.c.catalogue_id == catalogue_id)
        for split, ids in by_split.items():
            for some in batches(ids):
                connection.execute(change.where(examples.c.id.in_(some)).values(split=split))

    @writing
    def relabel_example(
        self, connection: Connection, catalogue_id: str, example_id: str, label: str, split: Split
    ) -> Example:
        """Raises ExampleNotFound."""
        this = (examples.c.catalogue_id == catalogue_id) & (examples.c.id == example_id)
        former = _one(records(Example, connection.execute(select(examples).where(this).with_for_update())), example_id)
        settled = {*former.settled_labels, *former.conflict_labels, former.label} - {label}
        decided = {"label": label, "split": split, "state": ExampleState.ACTIVE, "conflict_labels": ()}
        connection.execute(update(examples).where(this).values(**decided, settled_labels=tuple(sorted(settled))))
        if label != former.label:
            note_relabelled(connection, catalogue_id, [former], self.clock())
            of_example = (kept_findings.c.catalogue_id == catalogue_id) & (kept_findings.c.example_id == example_id)
            connection.execute(delete(kept_findings).where(of_example))
        return _one(records(Example, connection.execute(select(examples).where(this))), example_id)

    @writing
    def keep_findings(self, connection: Connection, catalogue_id: str, kept: Mapping[str, Sequence[str]]) -> None:
        """The examples' rows are locked, so that none of them is dropped meanwhile."""
        there = select(examples.c.id).where(examples.c.catalogue_id == catalogue_id).order_by(examples.c.id)
        for some in batches(list(kept)):
            locked = there.where(examples.c.id.in_(some)).with_for_update(read=True, key_share=True)
            rows = [
                {"catalogue_id": catalogue_id, "example_id": example_id, "finding": finding}
                for example_id in connection.execute(locked).scalars()
                for finding in sorted(set(kept[example_id]))
            ]
            if rows:
                connection.execute(upsert(connection, kept_findings).on_conflict_do_nothing(), rows)

    @reading
    def kept_findings(self, connection: Connection, catalogue_id: str) -> dict[str, frozenset[str]]:
        found = select(kept_findings.c.example_id, kept_findings.c.finding)
        by_example: defaultdict[str, set[str]] = defaultdict(set)
        for example_id, finding in connection.execute(found.where(kept_findings.c.catalogue_id == catalogue_id)):
            by_example[example_id].add(finding)
        return {example_id: frozenset(kinds) for example_id, kinds in by_example.items()}

    @writing
    def delete_examples(self, connection: Connection, catalogue_id: str, example_ids: Sequence[str]) -> None:
        """Ids that are not there are passed over."""
        for some in batches(example_ids):
            delete_rows(connection, catalogue_id, some)

    @reading
    def pictures_in_use(self, connection: Connection, tenant: str, content_hashes: Sequence[str]) -> set[str]:
        used: set[str] = set()
        for some in batches(content_hashes):
            used |= _in_use(connection, tenant, some)
        return used


def delete_rows(connection: Connection, catalogue_id: str, some: Sequence[str]) -> None:
    """Rows of examples, at most `NAMES_A_STATEMENT`, and of selection members; what else hangs on them goes along.

    Noted as deleted, since their bytes are elsewhere and not yet gone.
    """
    these = (examples.c.catalogue_id == catalogue_id) & examples.c.id.in_(some)
    found = connection.execute(select(examples.c.id, examples.c.content_hash, examples.c.crop).where(these))
    noted = [
        {"catalogue_id": catalogue_id, "example_id": row.id, "picture": picture_name(row.content_hash, row.crop)}
        for row in found
    ]
    if noted:
        connection.execute(upsert(connection, deleted).on_conflict_do_nothing(), noted)
    of_catalogue = select(selections.c.id).where(selections.c.catalogue_id == catalogue_id)
    chosen = (members.c.example_id.in_(some), members.c.selection_id.in_(of_catalogue))
    connection.execute(delete(members).where(*chosen))
    connection.execute(delete(examples).where(these))


def _chosen(found: Select[tuple[Any, ...]], split: Split | None, state: ExampleState | None) -> Select[tuple[Any, ...]]:
    if split is not None:
        found = found.where(examples.c.split == split)
    return found if state is None else found.where(examples.c.state == state)


def _one(found: list[Example], example_id: str) -> Example:
    if not found:
        raise ExampleNotFound(f"the catalogue has no example {quoted(example_id)}", example=example_id)
    return found[0]


def batches(names: Sequence[str]) -> Iterator[list[str]]:
    """Each name once, in order, so that two transactions over the same rows lock them in the same order."""
    ordered = sorted(set(names))
    for start in range(0, len(ordered), NAMES_A_STATEMENT):
        yield ordered[start : start + NAMES_A_STATEMENT]


def _in_use(connection: Connection, tenant: str, hashes: Sequence[str]) -> set[str]:
    """Names of the pictures of these hashes that examples of the tenant show, or pending items of unfinished jobs."""
    stored = (
        select(examples.c.content_hash, examples.c.crop)
        .join(catalogues, catalogues.c.id == examples.c.catalogue_id)
        .where(catalogues.c.tenant == tenant, examples.c.content_hash.in_(hashes))
    )
    # Written out, so that the index on the hashes of pending items is used; a parameter could be any state.
    pending = items.c.state == literal_column(f"'{ItemState.PENDING}'")
    awaited = select(items.c.content_hash, items.c.crop, items.c.job_id).where(
        pending, items.c.content_hash.in_(hashes)
    )
    unfinished = select(jobs.c.id).where(jobs.c.tenant == tenant, jobs.c.state.not_in(FINISHED))
    job_ids = set(connection.execute(unfinished).scalars())
    waiting = {picture_name(row.content_hash, row.crop) for row in connection.execute(awaited) if row.job_id in job_ids}
    return waiting | {picture_name(row.content_hash, row.crop) for row in connection.execute(stored)}


def note_relabelled(connection: Connection, catalogue_id: str, former: Iterable[Example], now: float) -> None:
    """Remember of examples that get another label which one they had, and when that was; of a moment the first."""
    rows = [{"catalogue_id": catalogue_id, "example_id": one.id, "former": one.label, "at": now} for one in former]
    if rows:
        connection.execute(upsert(connection, relabelled).on_conflict_do_nothing(), rows)
