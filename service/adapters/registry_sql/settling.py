"""What becomes of embedded items: a new example, a duplicate, or one picture under two labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from service.adapters.registry_sql.database import upsert
from service.adapters.registry_sql.dropped import dropped_labels, forget_dropped
from service.adapters.registry_sql.schema import examples
from service.records import EmbeddedItem, ExampleState, Item, ItemState


@dataclass(frozen=True, slots=True)
class KnownExample:
    """What there is to know of an example to judge another delivery of the same picture."""

    label: str
    state: ExampleState
    conflict_labels: tuple[str, ...]
    settled_labels: tuple[str, ...]


def judged(known: KnownExample, label: str) -> tuple[ItemState, KnownExample]:
    """What an item with this label becomes, and the example after it."""
    if known.state is ExampleState.CONFLICT:
        labels = known.conflict_labels
        return ItemState.CONFLICT, known if label in labels else replace(known, conflict_labels=(*labels, label))
    if label == known.label or label in known.settled_labels:
        return ItemState.DUPLICATE, known
    return ItemState.CONFLICT, replace(known, state=ExampleState.CONFLICT, conflict_labels=(known.label, label))


def settle_embedded(
    connection: Connection,
    catalogue_id: str,
    pending: Mapping[int, Item],
    embedded: Sequence[EmbeddedItem],
    now: float,
) -> list[dict[str, Any]]:
    """Write the examples of the pending items; what to write to the items: id_, state, reason, example_id.

    The primary key (catalogue, example) decides between two chunks that bring the same picture at once: the second
    INSERT waits for the first's transaction, writes nothing, and then sees the first's row.
    """
    dropped = dropped_labels(connection, catalogue_id, [item.example_id for item in embedded])
    by_item = {
        item.item_id: item
        for item in embedded
        if item.item_id in pending and pending[item.item_id].label not in dropped.get(item.example_id, ())
    }
    found = [by_item[item_id] for item_id in sorted(by_item)]
    first = {item.example_id: item for item in reversed(found)}
    rows = {
        id_: _example(catalogue_id, pending[item.item_id], item, dropped.get(id_, ()), now)
        for id_, item in first.items()
    }
    new, before = _present(connection, catalogue_id, rows)
    forget_dropped(connection, catalogue_id, sorted(new & dropped.keys()))
    after = dict(before)
    outcomes = []
    for item in found:
        row = pending[item.item_id]
        if item.example_id in new and first[item.example_id] is item:
            state = ItemState.STORED
        else:
            state, after[item.example_id] = judged(after[item.example_id], row.label)
        reason = _reason(after[item.example_id]) if state is ItemState.CONFLICT else None
        outcomes.append({"id_": item.item_id, "state": state, "reason": reason, "example_id": item.example_id})
    _mark(connection, catalogue_id, {id_: known for id_, known in after.items() if known != before[id_]})
    return outcomes


def _example(
    catalogue_id: str, row: Item, item: EmbeddedItem, settled_labels: tuple[str, ...], now: float
) -> dict[str, Any]:
    return {
        "catalogue_id": catalogue_id,
        "id": item.example_id,
        "label": row.label,
        "split": row.split,
        "state": ExampleState.ACTIVE,
        "content_hash": row.content_hash,
        "crop": row.crop,
        "source": row.source,
        "width_px": item.width_px,
        "height_px": item.height_px,
        "perceptual_hash": item.perceptual_hash,
        "settled_labels": settled_labels,
        "created_at": now,
        "metadata": row.metadata,
    }


def _present(
    connection: Connection, catalogue_id: str, rows: Mapping[str, dict[str, Any]]
) -> tuple[set[str], dict[str, KnownExample]]:
    """See to it that every example is there: the ids that are new, and what is known of each.

    Once round, unless one that was there is dropped by somebody between the INSERT and the look at it.
    """
    new: set[str] = set()
    known: dict[str, KnownExample] = {}
    while missing := sorted(rows.keys() - known.keys()):
        inserted = _insert(connection, [rows[id_] for id_ in missing])
        known |= {
            id_: KnownExample(rows[id_]["label"], ExampleState.ACTIVE, (), rows[id_]["settled_labels"])
            for id_ in inserted
        }
        known |= _known(connection, catalogue_id, [id_ for id_ in missing if id_ not in inserted])
        new |= inserted
    return new, known


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Insert those that are not there; their ids. Rows come by id, so that two transactions never wait in a circle."""
    insert = upsert(connection, examples).on_conflict_do_nothing().returning(examples.c.id)
    return set(connection.execute(insert, rows).scalars())


def _known(connection: Connection, catalogue_id: str, ids: Sequence[str]) -> dict[str, KnownExample]:
    if not ids:
        return {}
    columns = [examples.c.id, examples.c.label, examples.c.state, examples.c.conflict_labels, examples.c.settled_labels]
    found = select(*columns).where(examples.c.catalogue_id == catalogue_id, examples.c.id.in_(ids))
    rows = connection.execute(found.order_by(examples.c.id).with_for_update())
    return {row.id: KnownExample(row.label, row.state, row.conflict_labels, row.settled_labels) for row in rows}


def _reason(known: KnownExample) -> str:
    labels = ", ".join(repr(label) for label in known.conflict_labels)
    return f"the same picture was handed over as {labels}: relabel or drop it to decide"


def _mark(connection: Connection, catalogue_id: str, changed: Mapping[str, KnownExample]) -> None:
    if not changed:
        return
    change = update(examples).where(examples.c.catalogue_id == catalogue_id, examples.c.id == bindparam("id_"))
    values: dict[str, Any] = {name: bindparam(name) for name in ("state", "conflict_labels")}
    rows = [
        {"id_": id_, "state": known.state, "conflict_labels": known.conflict_labels} for id_, known in changed.items()
    ]
    connection.execute(change.values(values), rows)
