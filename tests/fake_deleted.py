"""Deleted examples in a dictionary; the rest of the registry is in `fake_registry`."""

from __future__ import annotations

from collections.abc import Sequence

from service.records import Deleted
from tests.fake_dropped import FakeDropped
from tests.fake_jobs import locked


class FakeDeleted(FakeDropped):
    """What is noted by `delete_examples`; a catalogue's go with it."""

    @locked
    def deleted(self, limit: int, catalogue_id: str | None = None) -> list[Deleted]:
        found = [one for _, one in sorted(self.deleted_rows.items())]
        return [one for one in found if catalogue_id in (None, one.catalogue_id)][:limit]

    @locked
    def forgot_deleted(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        for example_id in example_ids:
            self.deleted_rows.pop((catalogue_id, example_id), None)
