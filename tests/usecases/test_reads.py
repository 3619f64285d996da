"""What is asked often must not read every example: rows that come back are counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.ports import Registry
from service.records import Example, ExampleState, Split
from service.usecases.catalogues import list_catalogues, show_catalogue
from service.usecases.classify import classify
from service.usecases.decide import relabel
from service.usecases.provisional import add_provisional
from service.usecases.publish import publish
from service.usecases.report import report_data
from service.usecases.splitting import assign_open_splits
from tests.fakes import fruit, ingested, picture, write_pictures
from tests.usecases.serving import draft, fruit_of, no_sleep, stocked


class CountingRegistry:
    """A registry that counts the examples that it hands out, and the questions that count all of them."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.rows = self.full_counts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.registry, name)

    def examples(self, *arguments: Any, **options: Any) -> list[Example]:
        found = self.registry.examples(*arguments, **options)
        self.rows += len(found)
        return found

    def examples_page(self, *arguments: Any, **options: Any) -> list[Example]:
        found = self.registry.examples_page(*arguments, **options)
        self.rows += len(found)
        return found

    def example_counts(self, catalogue_id: str, labels: list[str] | None = None) -> Any:
        self.full_counts += labels is None
        return self.registry.example_counts(catalogue_id, labels)


@pytest.fixture
def context(tmp_path):
    """23 active examples of three classes, and one in conflict."""
    made, _ = stocked(tmp_path / "first")
    ingested(made, write_pictures(tmp_path / "wrong", {"plum/same.png": fruit()["apple/0.png"]}))
    return replace(made, registry=CountingRegistry(made.registry))


def test_conflicts_are_counted_without_reading_the_rest(context):
    assert len(show_catalogue(context, "acme", "fruit").conflicts) == 1
    assert [len(one.conflicts) for one in list_catalogues(context, "acme")] == [1]
    assert report_data(context, "acme", "fruit", {})["catalogue"]["conflicts"] == 1
    assert context.registry.rows == 3


def test_splits_are_assigned_from_the_classes_that_wait_for_them(context):
    catalogue = fruit_of(context)
    assert assign_open_splits(context, catalogue) == 0
    assert context.registry.rows == 0
    pears = context.registry.examples(catalogue.id, labels=["pear"])
    context.registry.set_splits(catalogue.id, {pears[0].id: Split.UNASSIGNED})
    context.registry.rows = 0
    assert assign_open_splits(context, catalogue) == 1
    assert context.registry.rows == 1 + len(pears)


def test_provisional_references_are_looked_for_in_classes_without_references(context):
    publish(context, fruit_of(context), draft(context), sleep=no_sleep)
    context.registry.rows = 0
    assert add_provisional(context, fruit_of(context)) == 0
    assert context.registry.rows == 0


def test_relabelling_reads_the_support_examples_of_the_label_alone(context):
    catalogue = fruit_of(context)
    one = context.registry.examples(catalogue.id, Split.HOLDOUT, ExampleState.ACTIVE, ["apple"])[0]
    support = context.registry.examples(catalogue.id, Split.SUPPORT, ExampleState.ACTIVE, ["pear"])
    context.registry.rows = 0
    assert relabel(context, "acme", "fruit", one.id, "pear").split is Split.HOLDOUT
    assert context.registry.rows == len(support)


@pytest.mark.parametrize("labels", [3, 12])
def test_with_a_selection_classifying_counts_what_the_answers_name(tmp_path, labels):
    made, _ = stocked(tmp_path, labels=[f"fruit-{number:02}" for number in range(labels)])
    context = replace(made, registry=CountingRegistry(made.registry))
    pictures = [("new.png", picture("new", seed=70_000))]
    classify(context, "acme", "fruit", pictures)
    assert context.registry.full_counts == 1, "before any optimisation, once"
    publish(context, fruit_of(context), draft(context), sleep=no_sleep)
    context.registry.rows = context.registry.full_counts = 0
    (answer,) = classify(context, "acme", "fruit", pictures, top=12)
    assert len(answer.prediction.top) == labels
    assert (context.registry.rows, context.registry.full_counts) == (0, 0)
