"""Selections with their members, and the trials of parameter searches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from service.adapters.registry_sql.catalogues import hold_catalogue, keep_catalogue, lease_lost
from service.adapters.registry_sql.database import Part, reading, records, upsert, writing
from service.adapters.registry_sql.examples import batches
from service.adapters.registry_sql.schema import catalogues, examples, leases, members, selections, trials
from service.errors import AlreadyExists, InvalidInput, SelectionNotFound, quoted
from service.records import ExampleState, Selection, SelectionMember, SelectionState, Slot, Trial

SELECTION_COLUMNS = [column for column in selections.c if column.name != "serial"]


class Selections(Part):
    """Implements `ports.SelectionRegistry`."""

    @writing
    def open_selection(self, connection: Connection, selection: Selection, members: Sequence[SelectionMember]) -> None:
        """The state written is WRITING whatever the record says.

        Raises CatalogueNotFound when the catalogue was deleted meanwhile, AlreadyExists when the id is taken.
        """
        keep_catalogue(connection, selection.catalogue_id)
        row = {field.name: getattr(selection, field.name) for field in fields(selection)}
        row |= {"state": SelectionState.WRITING}
        insert = upsert(connection, selections).on_conflict_do_nothing().returning(selections.c.id)
        if connection.execute(insert, row).one_or_none() is None:
            raise AlreadyExists(f"there is a selection {selection.id} already", selection=selection.id)
        _add_members(connection, selection.id, members)

    @writing
    def activate_selection(
        self,
        connection: Connection,
        catalogue_id: str,
        selection_id: str,
        slot: Slot,
        *,
        lease: str | None = None,
        owner: str = "",
    ) -> None:
        """Raises CatalogueNotFound, SelectionNotFound when the catalogue has no such selection, and LeaseHeld.

        The catalogue's row is locked, so of two activations at once one follows the other.
        """
        hold_catalogue(connection, catalogue_id)
        held = select(leases.c.name).where(leases.c.name == lease, leases.c.owner == owner).with_for_update()
        if lease is not None and connection.execute(held).one_or_none() is None:
            raise lease_lost(lease)
        of_catalogue = update(selections).where(selections.c.catalogue_id == catalogue_id)
        former = of_catalogue.where(selections.c.state == SelectionState.ACTIVE, selections.c.id != selection_id)
        connection.execute(former.values(state=SelectionState.RETIRED, retired_at=self.clock()))
        active = {"state": SelectionState.ACTIVE, "slot": slot, "retired_at": None}
        if not connection.execute(of_catalogue.where(selections.c.id == selection_id).values(active)).rowcount:
            raise no_selection(selection_id)
        this = update(catalogues).where(catalogues.c.id == catalogue_id)
        connection.execute(this.values(active_selection=selection_id))

    @writing
    def set_selection_state(self, connection: Connection, selection_id: str, state: SelectionState) -> None:
        """Raises SelectionNotFound."""
        values: dict[str, Any] = {"state": state}
        if state is SelectionState.RETIRED:
            values["retired_at"] = self.clock()
        if not connection.execute(update(selections).where(selections.c.id == selection_id).values(values)).rowcount:
            raise no_selection(selection_id)

    @reading
    def selection(self, connection: Connection, catalogue_id: str, selection_id: str) -> Selection:
        found = select(*SELECTION_COLUMNS).where(
            selections.c.catalogue_id == catalogue_id, selections.c.id == selection_id
        )
        row = records(Selection, connection.execute(found))
        if not row:
            raise no_selection(selection_id)
        return row[0]

    @reading
    def selections(self, connection: Connection, catalogue_id: str) -> list[Selection]:
        found = select(*SELECTION_COLUMNS).where(selections.c.catalogue_id == catalogue_id)
        newest_first = found.order_by(selections.c.created_at.desc(), selections.c.serial.desc())
        return records(Selection, connection.execute(newest_first))

    @reading
    def members(self, connection: Connection, selection_id: str) -> list[SelectionMember]:
        columns = select(members.c.example_id, members.c.label, members.c.centrality, members.c.provisional)
        found = valid_members(columns, selection_id).order_by(members.c.example_id)
        return records(SelectionMember, connection.execute(found))

    @reading
    def member_counts(self, connection: Connection, selection_id: str) -> dict[str, int]:
        counted = valid_members(select(members.c.label, func.count()), selection_id).group_by(members.c.label)
        return {label: int(count) for label, count in connection.execute(counted)}

    @reading
    def members_astray(self, connection: Connection, selection_id: str) -> dict[str, str]:
        same = (examples.c.catalogue_id == selections.c.catalogue_id) & (examples.c.id == members.c.example_id)
        joined = members.join(selections, selections.c.id == members.c.selection_id).join(examples, same)
        found = (
            select(examples.c.id, examples.c.label).select_from(joined).where(members.c.selection_id == selection_id)
        )
        found = found.where(examples.c.state == ExampleState.ACTIVE, examples.c.label != members.c.label)
        return {str(row.id): str(row.label) for row in connection.execute(found)}

    @writing
    def add_members(self, connection: Connection, selection_id: str, members: Sequence[SelectionMember]) -> None:
        """Raises SelectionNotFound."""
        found = select(selections.c.id).where(selections.c.id == selection_id)
        if connection.execute(found.with_for_update(read=True, key_share=True)).one_or_none() is None:
            raise no_selection(selection_id)
        _add_members(connection, selection_id, members)

    @writing
    def remove_provisional(self, connection: Connection, selection_id: str, example_ids: Sequence[str]) -> None:
        own = (members.c.selection_id == selection_id) & members.c.provisional
        for some in batches(example_ids):
            connection.execute(delete(members).where(own, members.c.example_id.in_(some)))

    @reading
    def trials(self, connection: Connection, study: str) -> list[Trial]:
        found = select(trials.c.parameters, trials.c.value).where(trials.c.study == study).order_by(trials.c.serial)
        return [Trial(parameters=row.parameters, value=row.value) for row in connection.execute(found)]

    @writing
    def add_trial(self, connection: Connection, study: str, trial: Trial) -> None:
        """Raises InvalidInput when the value is not a finite number."""
        if not math.isfinite(trial.value):
            raise InvalidInput(
                f"a trial of study {study!r} has the value {trial.value}: it must be finite", study=study
            )
        connection.execute(insert(trials), {"study": study, "parameters": trial.parameters, "value": trial.value})


def valid_members(
    of_members: Select[tuple[Any, ...]], selection_id: str, catalogue_id: str | None = None
) -> Select[tuple[Any, ...]]:
    """Only of members whose example is ACTIVE under the member's label; none where the selection is another's."""
    same = (examples.c.catalogue_id == selections.c.catalogue_id) & (examples.c.id == members.c.example_id)
    found = (
        of_members.select_from(members.join(selections, selections.c.id == members.c.selection_id).join(examples, same))
        .where(members.c.selection_id == selection_id)
        .where(examples.c.state == ExampleState.ACTIVE, examples.c.label == members.c.label)
    )
    return found if catalogue_id is None else found.where(selections.c.catalogue_id == catalogue_id)


def no_selection(selection_id: str) -> SelectionNotFound:
    """The error for an id that the catalogue has no selection of."""
    return SelectionNotFound(f"the catalogue has no selection {quoted(selection_id)}", selection=selection_id)


def _add_members(connection: Connection, selection_id: str, new: Sequence[SelectionMember]) -> None:
    if not new:
        return
    rows = sorted(
        ({"selection_id": selection_id} | asdict(member) for member in new), key=lambda row: str(row["example_id"])
    )
    insert = upsert(connection, members)
    anew = {name: insert.excluded[name] for name in ("label", "centrality", "provisional")}
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[members.c.selection_id, members.c.example_id],
            set_=anew,
            where=members.c.label != insert.excluded.label,
        ),
        rows,
    )
