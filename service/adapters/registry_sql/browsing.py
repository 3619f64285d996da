"""What a person looks through, page by page: each page is one walk along an index, from behind the page before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, func, literal_column, or_, select, update

from service.adapters.registry_sql.database import Part, reading, records, writing
from service.adapters.registry_sql.examples import batches, note_relabelled
from service.adapters.registry_sql.schema import examples, kept_findings, members, relabelled, selections
from service.adapters.registry_sql.selections import SELECTION_COLUMNS, no_selection, valid_members
from service.ports.browsing import LabelCounts
from service.records import Example, ExampleState, Selection, SelectionMember, Split

HELD = examples.c.state == literal_column(f"'{ExampleState.CONFLICT}'")
"""Written out, so that the index on examples in conflict is used; a parameter could be any state."""


class Browsing(Part):
    """Implements `ports.BrowsingRegistry`."""

    @reading
    def examples_page(
        self,
        connection: Connection,
        catalogue_id: str,
        after: str | None,
        limit: int,
        *,
        label: str | None = None,
        split: Split | None = None,
        state: ExampleState | None = None,
        selection: str | None = None,
    ) -> list[Example]:
        found = select(examples).where(examples.c.catalogue_id == catalogue_id)
        place = examples.c.id
        if selection is not None:
            found, place = valid_members(select(examples), selection, catalogue_id), members.c.example_id
        if after is not None:
            found = found.where(place > after)
        for column, value in ((examples.c.label, label), (examples.c.split, split)):
            if value is not None:
                found = found.where(column == value)
        if state is not None:
            # Nearly all are ACTIVE: an index of them by state would only be in the way.
            found = found.where(HELD if state is ExampleState.CONFLICT else ~HELD)
        return records(Example, connection.execute(found.order_by(place).limit(limit)))

    @reading
    def examples_by_id(
        self, connection: Connection, catalogue_id: str, example_ids: Sequence[str]
    ) -> dict[str, Example]:
        found = select(examples).where(examples.c.catalogue_id == catalogue_id)
        return {
            example.id: example
            for some in batches(example_ids)
            for example in records(Example, connection.execute(found.where(examples.c.id.in_(some))))
        }

    @reading
    def example_labels(self, connection: Connection, catalogue_id: str) -> dict[str, str]:
        found = select(examples.c.id, examples.c.label).where(examples.c.catalogue_id == catalogue_id, ~HELD)
        return {row.id: row.label for row in connection.execute(found.order_by(examples.c.id))}

    @writing
    def relabel_examples(
        self, connection: Connection, catalogue_id: str, example_ids: Sequence[str], label: str
    ) -> list[Example]:
        changed: list[Example] = []
        for some in batches(example_ids):
            chosen = and_(examples.c.catalogue_id == catalogue_id, examples.c.id.in_(some), ~HELD)
            found = select(examples).where(chosen, examples.c.label != label).order_by(examples.c.id)
            former = records(Example, connection.execute(found.with_for_update()))
            # Examples of one class mostly have the same past: a statement for each past, not for each example.
            by_past: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
            for one in former:
                by_past[tuple(sorted({*one.settled_labels, one.label} - {label}))].append(one.id)
            for settled, ids in by_past.items():
                these = (examples.c.catalogue_id == catalogue_id) & examples.c.id.in_(ids)
                connection.execute(update(examples).where(these).values(label=label, settled_labels=settled))
            note_relabelled(connection, catalogue_id, former, self.clock())
            ids = [one.id for one in former]
            kept = (kept_findings.c.catalogue_id == catalogue_id) & kept_findings.c.example_id.in_(ids)
            connection.execute(delete(kept_findings).where(kept))
            these = (examples.c.catalogue_id == catalogue_id) & examples.c.id.in_(ids)
            changed += records(Example, connection.execute(select(examples).where(these).order_by(examples.c.id)))
        return changed

    @reading
    def relabelled_examples(self, connection: Connection, catalogue_id: str, since: float) -> list[Example]:
        found = _relabelled(select(examples), catalogue_id, since).order_by(examples.c.id)
        return records(Example, connection.execute(found))

    @reading
    def relabelled_counts(self, connection: Connection, catalogue_id: str, since: float) -> dict[tuple[str, str], int]:
        columns = select(relabelled.c.former, examples.c.label, func.count())
        counted = _relabelled(columns, catalogue_id, since).group_by(relabelled.c.former, examples.c.label)
        return {(former, label): int(count) for former, label, count in connection.execute(counted)}

    @reading
    def added_counts(self, connection: Connection, catalogue_id: str, since: float) -> dict[str, int]:
        those = (examples.c.catalogue_id == catalogue_id) & (examples.c.created_at > since) & ~HELD
        counted = select(examples.c.label, func.count()).where(those).group_by(examples.c.label)
        return {label: int(count) for label, count in connection.execute(counted)}

    @reading
    def labels_page(
        self, connection: Connection, catalogue_id: str, after: str | None, limit: int
    ) -> list[LabelCounts]:
        named = select(examples.c.label).where(examples.c.catalogue_id == catalogue_id)
        if after is not None:
            named = named.where(examples.c.label > after)
        labels = list(connection.execute(named.distinct().order_by(examples.c.label).limit(limit)).scalars())
        splits: defaultdict[str, dict[Split, int]] = defaultdict(dict)
        held: dict[str, int] = {}
        for label, split, state, count in connection.execute(_counted(catalogue_id, labels)):
            if state is ExampleState.CONFLICT:
                held[label] = held.get(label, 0) + count
            else:
                splits[label][split] = count
        return [LabelCounts(label, splits[label], held.get(label, 0)) for label in labels]

    @reading
    def selections_page(
        self, connection: Connection, catalogue_id: str, after: str | None, limit: int
    ) -> list[Selection]:
        found = select(*SELECTION_COLUMNS).where(selections.c.catalogue_id == catalogue_id)
        if after is not None:
            place = select(selections.c.created_at, selections.c.serial).where(
                selections.c.catalogue_id == catalogue_id, selections.c.id == after
            )
            last = connection.execute(place).one_or_none()
            if last is None:
                raise no_selection(after)
            same_moment = and_(selections.c.created_at == last.created_at, selections.c.serial < last.serial)
            found = found.where(or_(selections.c.created_at < last.created_at, same_moment))
        newest_first = found.order_by(selections.c.created_at.desc(), selections.c.serial.desc())
        return records(Selection, connection.execute(newest_first.limit(limit)))

    @reading
    def members_page(
        self, connection: Connection, selection_id: str, after: str | None, limit: int, *, label: str | None = None
    ) -> list[SelectionMember]:
        found = valid_members(_member_columns(), selection_id)
        if after is not None:
            found = found.where(members.c.example_id > after)
        if label is not None:
            found = found.where(members.c.label == label)
        return records(SelectionMember, connection.execute(found.order_by(members.c.example_id).limit(limit)))

    @reading
    def members_among(
        self, connection: Connection, selection_id: str, example_ids: Sequence[str]
    ) -> dict[str, SelectionMember]:
        found = valid_members(_member_columns(), selection_id)
        return {
            member.example_id: member
            for some in batches(example_ids)
            for member in records(SelectionMember, connection.execute(found.where(members.c.example_id.in_(some))))
        }


def _counted(catalogue_id: str, labels: Sequence[str]) -> Select[tuple[Any, ...]]:
    """Rows by label, split and state. States and splits are written out, all of them, so that the index serves."""
    columns = (examples.c.label, examples.c.split, examples.c.state)
    return (
        select(*columns, func.count())
        .where(
            examples.c.catalogue_id == catalogue_id,
            examples.c.state.in_(list(ExampleState)),
            examples.c.split.in_(list(Split)),
            examples.c.label.in_(labels),
        )
        .group_by(*columns)
    )


def _member_columns() -> Select[tuple[Any, ...]]:
    return select(members.c.example_id, members.c.label, members.c.centrality, members.c.provisional)


def _relabelled(columns: Select[Any], catalogue_id: str, since: float) -> Select[Any]:
    """Of examples that are ACTIVE under another label than at `since`: the first relabelling after that tells which."""
    those = (relabelled.c.catalogue_id == catalogue_id) & (relabelled.c.at > since)
    first = select(relabelled.c.example_id, func.min(relabelled.c.at).label("at")).where(those)
    firsts = first.group_by(relabelled.c.example_id).subquery()
    is_first = (relabelled.c.example_id == firsts.c.example_id) & (relabelled.c.at == firsts.c.at)
    same = (examples.c.catalogue_id == relabelled.c.catalogue_id) & (examples.c.id == relabelled.c.example_id)
    return columns.select_from(relabelled.join(firsts, is_first).join(examples, same)).where(
        relabelled.c.catalogue_id == catalogue_id, examples.c.label != relabelled.c.former, ~HELD
    )
