"""Dropped pictures in a dictionary; the rest of the registry is in `fake_registry`."""

from __future__ import annotations

from collections.abc import Sequence

from service.records import Dropped
from tests.fake_browsing import FakeBrowsing
from tests.fake_jobs import locked


class FakeDropped(FakeBrowsing):
    """All but `drop_examples`."""

    @locked
    def dropped(self, catalogue_id: str, example_ids: Sequence[str] | None = None) -> list[Dropped]:
        own = [one for (owner, _), one in sorted(self.dropped_rows.items()) if owner == catalogue_id]
        return [one for one in own if example_ids is None or one.example_id in example_ids]

    @locked
    def dropped_page(self, catalogue_id: str, after: str | None, limit: int) -> list[Dropped]:
        return [one for one in self.dropped(catalogue_id) if after is None or one.example_id > after][:limit]

    @locked
    def take_back(self, catalogue_id: str, example_ids: Sequence[str]) -> None:
        for example_id in example_ids:
            self.dropped_rows.pop((catalogue_id, example_id), None)

    @locked
    def rename_dropped(self, catalogue_id: str, label: str, new: str) -> None:
        self.catalogue_by_id(catalogue_id)
        for one in self.dropped(catalogue_id):
            if label in one.labels:
                labels = tuple(sorted({*one.labels, new}))
                self.dropped_rows[catalogue_id, one.example_id] = one._replace(labels=labels)

    @locked
    def add_dropped(self, catalogue_id: str, dropped: Sequence[Dropped]) -> None:
        self.catalogue_by_id(catalogue_id)
        there = self.examples_by_id(catalogue_id, [one.example_id for one in dropped])
        self.dropped_rows |= {(catalogue_id, one.example_id): one for one in dropped if one.example_id not in there}
