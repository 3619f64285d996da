"""A drop that was broken off has taken points and left their rows: whoever reads meets whole examples all the same."""

from __future__ import annotations

import pytest

from service.errors import PublishIncomplete, Unavailable
from service.usecases.context import embedding_key, partition_of
from service.usecases.decide import drop
from service.usecases.deleted import sweep_deleted
from service.usecases.holdings import load_holdings
from service.usecases.hygiene import keep, survey_hygiene
from service.usecases.preview import preview_class
from service.usecases.publish import publish
from service.usecases.reviewing import review
from service.usecases.splitting import duplicate_groups
from tests.usecases.archives import archived, unpacked
from tests.usecases.serving import Killed, draft, fruit_of, no_sleep, serves_whole
from tests.usecases.test_hygiene import classes, near, stocked


@pytest.fixture
def context(tmp_path):
    return stocked(tmp_path, classes())


def broken_off(context, count=3):
    """Ids of examples whose drop ended after their points had gone."""
    catalogue = fruit_of(context)
    ids = [one.id for one in context.registry.examples(catalogue.id)[2 : 2 + count]]
    own = context.registry.delete_examples

    def down(*_):
        raise Unavailable("the database does not answer")

    context.registry.delete_examples = down
    with pytest.raises(Unavailable):
        drop(context, "acme", "fruit", ids)
    context.registry.delete_examples = own
    assert not context.store.fetch(partition_of(catalogue), ids).ids
    return ids


def holdings(context):
    read = load_holdings(context, fruit_of(context))
    return read.split_hash, [part.embeddings.tolist() for part in (read.support, read.tuning, read.holdout)]


def hygiene(context):
    return survey_hygiene(context, "acme", "fruit", lambda *_: None).as_dict()


def kept(context):
    return keep(context, "acme", "fruit", [context.registry.examples(fruit_of(context).id)[0].id])


def reviewed(context):
    found = review(context, "acme", "fruit", kind=None, limit=100, renew=True)
    return found.examples, found.counts


def previewed(context):
    return preview_class(context, "acme", "fruit", "quince", [("new.png", near("new", 3, 5))]).as_dict()


def exported(context):
    members = unpacked(archived(context))
    return {name: data for name, data in members.items() if name.startswith(("examples", "embeddings"))}


def grouped(context):
    catalogue = fruit_of(context)
    return duplicate_groups(context, catalogue, context.registry.examples(catalogue.id)).tolist()


READERS = (holdings, hygiene, kept, reviewed, previewed, exported, grouped)


@pytest.mark.parametrize("read", [one for one in READERS if one is not reviewed])
def test_what_a_broken_drop_took_is_read_all_the_same(context, read):
    before = read(context)
    gone = broken_off(context)
    assert read(context) == before
    assert set(context.store.fetch(partition_of(fruit_of(context)), gone).ids) == set(gone)


def test_a_survey_that_meets_a_broken_drop_is_made_all_the_same(context):
    broken_off(context)
    assert reviewed(context) == (30, hygiene(context)["counts"])


@pytest.mark.parametrize("read", [holdings, hygiene, kept, reviewed, previewed])
def test_an_example_whose_embedding_is_gone_too_is_told(context, read):
    catalogue = fruit_of(context)
    broken_off(context, 1)
    gone = context.registry.examples(catalogue.id)[2]
    context.blobs.delete([embedding_key("acme", catalogue.fingerprint.digest, gone.picture)])
    with pytest.raises(PublishIncomplete, match=r"1 of \d+ examples have a row and no point"):
        read(context)


@pytest.mark.parametrize("read", READERS)
def test_what_is_dropped_while_it_is_read_is_left_out(context, monkeypatch, read):
    catalogue = fruit_of(context)
    gone = [one.id for one in context.registry.examples(catalogue.id)][4:6]
    own, asked = context.store.fetch, []

    def fetch(*given, **named):
        if not asked:
            asked.append(1)
            drop(context, "acme", "fruit", gone)
        return own(*given, **named)

    monkeypatch.setattr(context.store, "fetch", fetch)
    read(context)
    assert not own(partition_of(catalogue), gone).ids
    assert len(context.registry.examples(catalogue.id)) == 28


def read_while_dropped(context, read, gone):
    """Somebody reads when the points have gone and the rows are still there, so that the points come back."""
    own, points = context.registry.delete_examples, []

    def delete_examples(*given):
        read(context)
        points.extend(context.store.fetch(partition_of(fruit_of(context)), gone).ids)
        own(*given)

    context.registry.delete_examples = delete_examples
    drop(context, "acme", "fruit", gone)
    context.registry.delete_examples = own
    return points


@pytest.mark.parametrize("read", [holdings, hygiene, exported, grouped])
def test_points_that_come_back_while_they_are_dropped_go_with_their_rows(context, read):
    catalogue = fruit_of(context)
    gone = sorted(one.id for one in context.registry.examples(catalogue.id)[4:6])
    assert sorted(read_while_dropped(context, read, gone)) == gone
    assert sorted(context.store.ids(partition_of(catalogue), {})) == sorted(
        one.id for one in context.registry.examples(catalogue.id)
    )


def test_points_that_come_back_before_a_drop_is_broken_off_go_with_the_next_sweep(context, monkeypatch):
    catalogue = fruit_of(context)
    gone = sorted(one.id for one in context.registry.examples(catalogue.id)[4:6])

    def killed(*_):
        raise Killed

    monkeypatch.setattr("service.usecases.decide.forget_deleted", killed)
    with pytest.raises(Killed):
        read_while_dropped(context, grouped, gone)
    assert sorted(context.store.fetch(partition_of(catalogue), gone).ids) == gone
    assert sweep_deleted(context) == 2
    assert not context.store.fetch(partition_of(catalogue), gone).ids


def test_references_whose_points_a_broken_drop_took_are_published(context):
    made = draft(context, per_label=2)
    lost = sorted(member.example_id for member in made.members)[:2]
    context.store.delete(partition_of(fruit_of(context)), lost)
    publish(context, fruit_of(context), made, sleep=no_sleep)
    assert serves_whole(context)
