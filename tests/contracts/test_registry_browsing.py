"""The contract of `ports.BrowsingRegistry`: pages, and many rows at once."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from service.adapters.registry_sql import SqlRegistry
from service.errors import SelectionNotFound
from service.ports import Registry
from service.records import Catalogue, Example, ExampleState, Split
from tests.registry_rows import Clock, ingested, members_of, picture, selection_of

LABELS = ("jay", "owl", "rook")
SPLITS = (Split.SUPPORT, Split.SUPPORT, Split.TUNING, Split.HOLDOUT)


@pytest.fixture
def birds(registry: Registry, catalogue: Catalogue) -> list[Example]:
    """60 birds of three labels and three splits, two of them in conflict, by id; and one of another catalogue."""
    pictures = [picture(str(n), LABELS[n % 3], split=SPLITS[n % 4]) for n in range(60)]
    ingested(registry, catalogue, [*pictures, picture("0", "owl"), picture("4", "rook")])
    ingested(registry, registry.create_catalogue("tenant", "other", "pixel"), [picture("x", "owl")])
    return registry.examples(catalogue.id)


def walked(registry: Registry, catalogue: Catalogue, size: int, **filters: object) -> list[Example]:
    """Every page, one after the other; each but the last is full."""
    found: list[Example] = []
    while True:
        page = registry.examples_page(catalogue.id, found[-1].id if found else None, size, **filters)  # type: ignore[arg-type]
        found += page
        assert len(page) <= size
        if len(page) < size:
            return found


@pytest.mark.parametrize("size", [1, 7, 500])
def test_pages_hold_every_example_once(
    registry: Registry, catalogue: Catalogue, birds: list[Example], size: int
) -> None:
    assert walked(registry, catalogue, size) == birds
    assert registry.examples_page("x", None, size) == []


def test_pages_are_filtered(registry: Registry, catalogue: Catalogue, birds: list[Example]) -> None:
    owls = [one for one in birds if one.label == "owl"]
    assert walked(registry, catalogue, 4, label="owl") == owls
    tuning = [one for one in birds if one.split is Split.TUNING]
    assert walked(registry, catalogue, 4, split=Split.TUNING) == tuning
    held = [one for one in birds if one.state is ExampleState.CONFLICT]
    assert len(held) == 2
    assert walked(registry, catalogue, 1, state=ExampleState.CONFLICT) == held
    assert walked(registry, catalogue, 9, state=ExampleState.ACTIVE) == [one for one in birds if one not in held]
    both = [one for one in owls if one in tuning and one not in held]
    assert walked(registry, catalogue, 2, label="owl", split=Split.TUNING, state=ExampleState.ACTIVE) == both


def test_pages_of_a_selection_hold_its_valid_members(
    registry: Registry, catalogue: Catalogue, birds: list[Example]
) -> None:
    chosen = [one for one in birds if one.label == "owl"][:6]
    selection = selection_of(catalogue)
    registry.open_selection(selection, members_of([(one.id, "owl") for one in chosen]))
    registry.relabel_example(catalogue.id, chosen[0].id, "jay", chosen[0].split)
    valid = [one.id for one in chosen[1:] if one.state is ExampleState.ACTIVE]
    assert [one.id for one in walked(registry, catalogue, 2, selection=selection.id)] == valid
    assert walked(registry, catalogue, 2, selection=selection.id, label="jay") == []
    other = registry.catalogue("tenant", "other")
    assert registry.examples_page(other.id, None, 9, selection=selection.id) == [], "another catalogue's selection"
    members = registry.members(selection.id)
    assert [one.example_id for one in members] == valid
    assert registry.members_page(selection.id, None, 2) == members[:2]
    assert registry.members_page(selection.id, members[1].example_id, 50, label="owl") == members[2:]
    assert registry.members_page(selection.id, None, 50, label="jay") == []
    assert registry.members_page("x", None, 50) == []
    asked = [one.id for one in birds]
    assert registry.members_among(selection.id, asked) == {one.example_id: one for one in members}
    assert registry.members_among(selection.id, []) == {}


@pytest.mark.parametrize("registry_url", ["sqlite"], indirect=True)
def test_a_page_reads_no_more_than_it_shows(registry: SqlRegistry, catalogue: Catalogue, birds: list[Example]) -> None:
    """Every page is a walk along an index: on SQLite no statement scans or sorts a table.

    Not asked of PostgreSQL, whose planner scans tables that are as small as this one.
    """
    asked: list[tuple[str, object]] = []
    engine = registry.database._engine
    event.listen(engine, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
    selection = selection_of(catalogue)
    registry.open_selection(selection, members_of([(one.id, one.label) for one in birds]))
    asked.clear()
    last = birds[5].id
    registry.examples_page(catalogue.id, last, 5)
    registry.examples_page(catalogue.id, last, 5, label="owl")
    registry.examples_page(catalogue.id, last, 5, split=Split.TUNING)
    registry.examples_page(catalogue.id, last, 5, state=ExampleState.CONFLICT)
    registry.examples_page(catalogue.id, last, 5, state=ExampleState.ACTIVE)
    registry.examples_page(catalogue.id, last, 5, selection=selection.id)
    registry.members_page(selection.id, last, 5)
    statements = [(sql, parameters) for sql, parameters in asked if sql.startswith("SELECT")]
    assert len(statements) == 7
    with engine.connect() as connection:
        for sql, parameters in statements:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
            assert all(step.startswith("SEARCH") for step in plan), (sql, plan)


def test_many_are_found_by_id(registry: Registry, catalogue: Catalogue, birds: list[Example]) -> None:
    found = registry.examples_by_id(catalogue.id, [*(one.id for one in birds), *(str(n) for n in range(2500))])
    assert found == {one.id: one for one in birds}
    assert registry.examples_by_id("x", [birds[0].id]) == {}
    labels = registry.example_labels(catalogue.id)
    assert labels == {one.id: one.label for one in birds if one.state is ExampleState.ACTIVE}
    assert list(labels) == sorted(labels)


def test_many_are_relabelled(registry: Registry, catalogue: Catalogue, birds: list[Example]) -> None:
    registry.keep_findings(catalogue.id, {one.id: ["outlier"] for one in birds})
    owls = [one for one in birds if one.label == "owl"]
    active = [one for one in owls if one.state is ExampleState.ACTIVE]
    registry.relabel_example(catalogue.id, active[0].id, "jay", active[0].split)
    registry.relabel_example(catalogue.id, active[0].id, "owl", active[0].split)
    changed = registry.relabel_examples(catalogue.id, [one.id for one in owls] + ["x"], "tawny")
    assert [one.id for one in changed] == [one.id for one in active]
    assert {(one.label, one.split) for one in changed} == {("tawny", one.split) for one in active}
    assert [one.settled_labels for one in changed[:2]] == [("jay", "owl"), ("owl",)]
    assert registry.examples(catalogue.id, labels=["owl"]) == [one for one in owls if one not in active]
    kept = registry.kept_findings(catalogue.id)
    assert not {one.id for one in active} & set(kept)
    assert len(kept) == len(birds) - len(active)
    assert registry.relabel_examples(catalogue.id, [one.id for one in owls], "tawny") == []
    assert registry.relabel_examples("x", [one.id for one in birds], "tawny") == []


def test_labels_are_counted_page_by_page(registry: Registry, catalogue: Catalogue, birds: list[Example]) -> None:
    first = registry.labels_page(catalogue.id, None, 2)
    rest = registry.labels_page(catalogue.id, first[-1].label, 2)
    assert [one.label for one in (*first, *rest)] == list(LABELS)
    for one in (*first, *rest):
        rows = [bird for bird in birds if bird.label == one.label]
        active = [bird.split for bird in rows if bird.state is ExampleState.ACTIVE]
        assert one.splits == {split: active.count(split) for split in set(active)}
        assert one.held == len(rows) - len(active)
    assert sum(one.held for one in (*first, *rest)) == 2
    assert registry.labels_page("x", None, 5) == []


def test_selections_come_page_by_page_newest_first(registry: Registry, catalogue: Catalogue) -> None:
    made = [selection_of(catalogue, created_at=created_at) for created_at in (5.0, 5.0, 1.0, 9.0)]
    for selection in made:
        registry.open_selection(selection, [])
    newest_first = registry.selections(catalogue.id)
    assert registry.selections_page(catalogue.id, None, 3) == newest_first[:3]
    assert registry.selections_page(catalogue.id, newest_first[0].id, 2) == newest_first[1:3]
    assert registry.selections_page(catalogue.id, newest_first[2].id, 2) == newest_first[3:]
    assert registry.selections_page(catalogue.id, newest_first[3].id, 2) == []
    with pytest.raises(SelectionNotFound):
        registry.selections_page(catalogue.id, "x", 2)
    other = registry.create_catalogue("tenant", "other", "pixel")
    with pytest.raises(SelectionNotFound):
        registry.selections_page(other.id, newest_first[0].id, 2)


def test_what_was_relabelled_since_is_known(
    registry: Registry, catalogue: Catalogue, birds: list[Example], clock: Clock
) -> None:
    began = clock.now
    assert registry.relabelled_examples(catalogue.id, 0) == []
    jays = [one for one in birds if one.label == "jay" and one.state is ExampleState.ACTIVE]
    clock.now += 1
    registry.relabel_example(catalogue.id, jays[0].id, "owl", jays[0].split)
    registry.relabel_example(catalogue.id, jays[1].id, "jay", jays[1].split)
    clock.now += 1
    changed = registry.relabel_examples(catalogue.id, [one.id for one in jays], "rook")
    assert registry.relabelled_counts(catalogue.id, began + 1) == {("owl", "rook"): 1, ("jay", "rook"): len(jays) - 1}
    assert registry.relabelled_examples(catalogue.id, began + 1) == changed
    assert registry.relabelled_examples(catalogue.id, began + 2) == []
    assert registry.relabelled_counts("x", 0) == {}
    assert registry.relabelled_counts(catalogue.id, began) == {("jay", "rook"): len(jays)}, "of two the first"
    clock.now += 1
    registry.relabel_example(catalogue.id, jays[1].id, "jay", jays[1].split)
    assert registry.relabelled_counts(catalogue.id, began) == {("jay", "rook"): len(jays) - 1}, "undone is unchanged"
    assert jays[1].id not in {one.id for one in registry.relabelled_examples(catalogue.id, began)}
    assert registry.relabelled_counts(catalogue.id, began + 2) == {("rook", "jay"): 1}, "it was a rook by then"
    registry.delete_examples(catalogue.id, [jays[0].id])
    assert registry.relabelled_counts(catalogue.id, 0) == {("jay", "rook"): len(jays) - 2}


def test_what_was_added_since_is_counted(
    registry: Registry, catalogue: Catalogue, birds: list[Example], clock: Clock
) -> None:
    active = [one for one in birds if one.state is ExampleState.ACTIVE]
    last = max(one.created_at for one in birds)
    every = registry.example_counts(catalogue.id)[1]
    assert registry.added_counts(catalogue.id, min(one.created_at for one in birds) - 1) == every
    assert registry.added_counts(catalogue.id, last) == {}
    assert sum(every.values()) == len(active) < len(birds), "those in conflict answer nothing"
    assert registry.added_counts("x", 0.0) == {}
