"""The registry: what a person looks through, page by page. Keyset pages: each begins behind the last row before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.records import Example, ExampleState, Selection, SelectionMember, Split


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """A label with its ACTIVE examples by split (where it has any). `held` counts its rows that are in conflict."""

    label: str
    splits: Mapping[Split, int]
    held: int


class BrowsingRegistry(Protocol):
    """Pages of examples, labels, selections and members; and many examples at once by id."""

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
        """At most `limit` examples behind the id `after`, by id; `selection` keeps its valid members alone."""
        ...

    def examples_by_id(self, catalogue_id: str, example_ids: Sequence[str]) -> dict[str, Example]:
        """Those that are there."""
        ...

    def example_labels(self, catalogue_id: str) -> dict[str, str]:
        """Id to label of every ACTIVE example, by id; nothing else of the rows is read."""
        ...

    def relabel_examples(self, catalogue_id: str, example_ids: Sequence[str], label: str) -> list[Example]:
        """As `relabel_example` for many, in one transaction; splits stay. Ids that are not there are passed over.

        Examples in conflict are passed over too: they wait for a decision of their own. Those that changed, by id.
        """
        ...

    def relabelled_examples(self, catalogue_id: str, since: float) -> list[Example]:
        """ACTIVE examples that have another label than at `since` (seconds since 1970), by id."""
        ...

    def relabelled_counts(self, catalogue_id: str, since: float) -> dict[tuple[str, str], int]:
        """How many those are by (the label that they had then, label now)."""
        ...

    def added_counts(self, catalogue_id: str, since: float) -> dict[str, int]:
        """How many ACTIVE examples came after `since` (seconds since 1970), by label."""
        ...

    def labels_page(self, catalogue_id: str, after: str | None, limit: int) -> list[LabelCounts]:
        """At most `limit` labels behind `after`, by name."""
        ...

    def selections_page(self, catalogue_id: str, after: str | None, limit: int) -> list[Selection]:
        """At most `limit` selections behind (older than) the one with the id `after`, newest first.

        Raises SelectionNotFound where the catalogue has none of that id.
        """
        ...

    def members_page(
        self, selection_id: str, after: str | None, limit: int, *, label: str | None = None
    ) -> list[SelectionMember]:
        """At most `limit` of the `members` behind the example id `after`, by example id."""
        ...

    def members_among(self, selection_id: str, example_ids: Sequence[str]) -> dict[str, SelectionMember]:
        """Those of the examples that are `members` of the selection, by example id."""
        ...
