"""The registry's pages over the dictionaries of `fake_registry`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from service.errors import SelectionNotFound
from service.ports import LabelCounts
from service.records import Example, ExampleState, Selection, SelectionMember, Split
from tests.fake_jobs import FakeJobs, locked


class FakeBrowsing(FakeJobs):
    @locked
    def examples_page(
        self,
        catalogue_id: str,
        after: str | None,
        limit: int,
        *,
        label: str | None = None,
        split: Split | None = None,
        state: ExampleState | None = None,
        selection: str | None = None,
    ) -> list[Example]:
        found = self.examples(catalogue_id, split, state, None if label is None else [label])
        if selection is not None:
            members = self.members_among(selection, [one.id for one in found])
            found = [one for one in found if one.id in members]
        return [one for one in found if after is None or one.id > after][:limit]

    @locked
    def examples_by_id(self, catalogue_id: str, example_ids: Sequence[str]) -> dict[str, Example]:
        wanted = set(example_ids)
        return {one.id: one for one in self.examples(catalogue_id) if one.id in wanted}

    @locked
    def example_labels(self, catalogue_id: str) -> dict[str, str]:
        return {one.id: one.label for one in self.examples(catalogue_id, state=ExampleState.ACTIVE)}

    @locked
    def relabel_examples(self, catalogue_id: str, example_ids: Sequence[str], label: str) -> list[Example]:
        chosen = self.examples_by_id(catalogue_id, example_ids).values()
        return [
            self.relabel_example(catalogue_id, one.id, label, one.split)
            for one in chosen
            if one.state is ExampleState.ACTIVE and one.label != label
        ]

    @locked
    def relabelled_examples(self, catalogue_id: str, since: float) -> list[Example]:
        active = self.examples(catalogue_id, state=ExampleState.ACTIVE)
        return [one for one in active if self._label_at(one, since) != one.label]

    @locked
    def relabelled_counts(self, catalogue_id: str, since: float) -> dict[tuple[str, str], int]:
        found = self.relabelled_examples(catalogue_id, since)
        return Counter((self._label_at(one, since), one.label) for one in found)

    @locked
    def added_counts(self, catalogue_id: str, since: float) -> dict[str, int]:
        active = self.examples(catalogue_id, state=ExampleState.ACTIVE)
        return Counter(one.label for one in active if one.created_at > since)

    def _label_at(self, example: Example, since: float) -> str:
        later = [one for one in self.relabelled_rows.get((example.catalogue_id, example.id), []) if one.at > since]
        return later[0].former if later else example.label

    @locked
    def labels_page(self, catalogue_id: str, after: str | None, limit: int) -> list[LabelCounts]:
        every = self.examples(catalogue_id)
        labels = sorted({one.label for one in every if after is None or one.label > after})[:limit]
        active = [one for one in every if one.state is ExampleState.ACTIVE]
        return [
            LabelCounts(
                label,
                Counter(one.split for one in active if one.label == label),
                sum(one.label == label for one in every) - sum(one.label == label for one in active),
            )
            for label in labels
        ]

    @locked
    def selections_page(self, catalogue_id: str, after: str | None, limit: int) -> list[Selection]:
        found = self.selections(catalogue_id)
        if after is None:
            return found[:limit]
        ids = [one.id for one in found]
        if after not in ids:
            raise SelectionNotFound(f"the catalogue has no selection {after!r}")
        return found[ids.index(after) + 1 :][:limit]

    @locked
    def members_page(
        self, selection_id: str, after: str | None, limit: int, *, label: str | None = None
    ) -> list[SelectionMember]:
        found = [one for one in self.members(selection_id) if label in (None, one.label)]
        return [one for one in found if after is None or one.example_id > after][:limit]

    @locked
    def members_among(self, selection_id: str, example_ids: Sequence[str]) -> dict[str, SelectionMember]:
        wanted = set(example_ids)
        return {one.example_id: one for one in self.members(selection_id) if one.example_id in wanted}
