"""A catalogue's examples as arrays: whose rows they are, one numbering, nothing that straddles judges."""

from __future__ import annotations

import numpy as np
import pytest

from service.core.stored_embedding import StoredEmbedding
from service.errors import NothingToServe, PublishIncomplete
from service.records import ExampleState, Split
from service.usecases import holdings as module
from service.usecases.context import embedding_key, partition_of
from service.usecases.decide import drop
from service.usecases.holdings import load_holdings
from tests.core.clusters import clusters
from tests.usecases.optimising import one_of_each, only, plant, planted, renamed, with_row


def parts(*, noise=0.3):
    sizes = (("s", 5), ("t", 3), ("h", 4))
    return [clusters([n] * 3, noise=noise, draw=draw, prefix=prefix) for draw, (prefix, n) in enumerate(sizes)]


def sources(context, catalogue, data):
    return {context.registry.example(catalogue.id, name).source for name in data.ids}


def three(holdings):
    return holdings.support, holdings.tuning, holdings.holdout


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_every_row_keeps_its_embedding_label_and_split(monkeypatch, at_once):
    monkeypatch.setattr(module, "FETCH_POINTS", at_once)
    given = parts()
    context, catalogue = planted(*given)
    for expected, found in zip(given, three(load_holdings(context, catalogue)), strict=True):
        assert len(found) == len(expected)
        row_of = {name: row for row, name in enumerate(expected.ids)}
        for name, embedding, code in zip(found.ids, found.embeddings, found.codes, strict=True):
            row = row_of[context.registry.example(catalogue.id, name).source]
            assert np.allclose(embedding, expected.embeddings[row], atol=1e-6)
            assert found.classes[code] == expected.classes[expected.codes[row]]


def test_splits_share_one_numbering_of_classes_and_groups():
    support, tuning, holdout = parts()
    context, catalogue = planted(only(support, [1]), only(tuning, [0, 1]), only(holdout, [2]))
    holdings = load_holdings(context, catalogue)
    assert {part.classes for part in three(holdings)} == {("c00", "c01", "c02")}
    assert [sorted(set(part.codes.tolist())) for part in three(holdings)] == [[1], [0, 1], [2]]
    groups = np.concatenate([part.groups for part in three(holdings)])
    assert len(set(groups.tolist())) == len(groups) == 5 + 6 + 4


def test_examples_in_conflict_and_without_a_split_are_left_out():
    given = parts()
    context, catalogue = planted(*given)
    before = load_holdings(context, catalogue)
    plant(context, catalogue, Split.SUPPORT, clusters([2], prefix="c"), state=ExampleState.CONFLICT)
    plant(context, catalogue, Split.UNASSIGNED, clusters([2], prefix="u"))
    after = load_holdings(context, catalogue)
    assert [part.ids for part in three(after)] == [part.ids for part in three(before)]
    assert after.split_hash == before.split_hash


@pytest.mark.parametrize("other", ["support", "tuning"])
def test_a_holdout_picture_with_a_near_duplicate_elsewhere_judges_nothing(other):
    support, tuning, holdout = parts()
    if other == "support":
        support, original = renamed(support, 2, "twin/other"), support.embeddings[2]
    else:
        tuning, original = renamed(tuning, 1, "twin/other"), tuning.embeddings[1]
    context, catalogue = planted(support, tuning, with_row(holdout, original, 0, "twin/holdout"))
    holdings = load_holdings(context, catalogue)
    assert holdings.straddling == 1
    assert "twin/holdout" not in sources(context, catalogue, holdings.holdout)
    assert "twin/other" in sources(context, catalogue, getattr(holdings, other))
    assert [len(part) for part in three(holdings)] == [15, 9, 12]


def test_near_duplicates_within_the_holdout_judge_together():
    support, tuning, holdout = parts()
    holdout = with_row(renamed(holdout, 0, "twin/a"), holdout.embeddings[0], 0, "twin/b")
    context, catalogue = planted(support, tuning, holdout)
    holdings = load_holdings(context, catalogue)
    assert holdings.straddling == 0
    assert len(holdings.holdout) == 13
    assert len(set(holdings.holdout.groups.tolist())) == 12


def test_support_and_tuning_may_share_a_near_duplicate():
    support, tuning, holdout = parts()
    tuning = with_row(tuning, support.embeddings[2], 0, "twin/t")
    context, catalogue = planted(renamed(support, 2, "twin/s"), tuning, holdout)
    holdings = load_holdings(context, catalogue)
    assert [len(part) for part in three(holdings)] == [15, 10, 12]
    assert set(holdings.support.groups.tolist()) & set(holdings.tuning.groups.tolist())


def test_the_hash_of_the_splits_changes_with_labels_and_splits_only():
    context, catalogue = planted(*parts())
    registry = context.registry
    first = load_holdings(context, catalogue).split_hash
    assert load_holdings(context, catalogue).split_hash == first
    example = registry.examples(catalogue.id, Split.SUPPORT)[0]
    registry.relabel_example(catalogue.id, example.id, "c77", Split.SUPPORT)
    relabelled = load_holdings(context, catalogue).split_hash
    registry.relabel_example(catalogue.id, example.id, example.label, Split.SUPPORT)
    assert load_holdings(context, catalogue).split_hash == first
    registry.set_splits(catalogue.id, {example.id: Split.TUNING})
    moved = load_holdings(context, catalogue).split_hash
    registry.set_splits(catalogue.id, {example.id: Split.SUPPORT})
    plant(context, catalogue, Split.HOLDOUT, one_of_each(1))
    more = load_holdings(context, catalogue).split_hash
    assert len({first, relabelled, moved, more}) == 4


def test_without_support_there_is_nothing_to_serve():
    support, tuning, _ = parts()
    context, catalogue = planted(support, tuning)
    registry = context.registry
    registry.set_splits(catalogue.id, {one.id: Split.HOLDOUT for one in registry.examples(catalogue.id, Split.SUPPORT)})
    with pytest.raises(NothingToServe, match="'fruit' has 24 usable examples and none in the split 'support'"):
        load_holdings(context, catalogue)


def test_points_that_a_broken_drop_took_come_back_from_what_was_stored():
    context, catalogue = planted(*parts())
    before = load_holdings(context, catalogue)
    for one in context.registry.examples(catalogue.id)[3:6]:
        partition = partition_of(catalogue)
        (row,) = context.store.fetch(partition, [one.id]).embeddings
        stored = StoredEmbedding(row, one.width_px, one.height_px, one.perceptual_hash)
        key = embedding_key(catalogue.tenant, catalogue.fingerprint.digest, one.picture)
        context.blobs.put(key, stored.to_bytes())
        context.store.delete(partition, [one.id])
    after = load_holdings(context, catalogue)
    assert after.split_hash == before.split_hash
    for here, there in zip(three(before), three(after), strict=True):
        assert np.allclose(here.embeddings, there.embeddings, atol=1e-6)


def test_examples_that_are_dropped_while_they_are_read_are_left_out(monkeypatch):
    context, catalogue = planted(*parts())
    gone = [one.id for one in context.registry.examples(catalogue.id, Split.SUPPORT)][:2]
    own, asked = context.store.fetch, []

    def fetch(*given, **named):
        if not asked:
            asked.append(1)
            drop(context, catalogue.tenant, catalogue.name, gone)
        return own(*given, **named)

    monkeypatch.setattr(context.store, "fetch", fetch)
    assert len(load_holdings(context, catalogue).support) == 13


def test_missing_points_are_counted():
    context, catalogue = planted(*parts())
    gone = [one.id for one in context.registry.examples(catalogue.id)][3:6]
    context.store.delete(partition_of(catalogue), gone)
    with pytest.raises(PublishIncomplete, match="3 of 36 examples have a row and no point in the vector store"):
        load_holdings(context, catalogue)
