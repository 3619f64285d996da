"""Bytes of deleted examples: gone in the end, whatever breaks off their deletion."""

import pytest

from service.errors import Unavailable
from service.usecases.catalogues import delete_catalogue
from service.usecases.decide import drop
from service.usecases.sweep import sweep
from tests.fakes import fake_context, fruit, ingested, write_pictures


@pytest.fixture
def context(tmp_path):
    given = fake_context()
    ingested(given, write_pictures(tmp_path, fruit(6)))
    return given


def keys_of(context, example):
    """Bytes and cached embedding."""
    return [key for key in context.blobs.keys("acme/") if example.content_hash in key]


class Down:
    """Stands in for one method, which does not answer for a while."""

    def __init__(self, monkeypatch, part, name):
        self.monkeypatch, self.part, self.name, self.own = monkeypatch, part, name, getattr(part, name)
        monkeypatch.setattr(part, name, self)

    def __call__(self, *arguments):
        raise Unavailable("it does not answer")

    def mend(self):
        self.monkeypatch.setattr(self.part, self.name, self.own)


def outage(monkeypatch, context, where):
    return {
        "registry": lambda: Down(monkeypatch, context.registry, "pictures_in_use"),
        "blobs": lambda: Down(monkeypatch, context.blobs, "delete"),
        "note": lambda: Down(monkeypatch, context.registry, "forgot_deleted"),
    }[where]()


@pytest.mark.parametrize("where", ["registry", "blobs", "note"])
@pytest.mark.parametrize("remember", [False, True])
def test_what_an_outage_broke_off_the_next_sweep_does(monkeypatch, context, where, remember):
    catalogue = context.registry.catalogue("acme", "fruit")
    gone, kept, *_ = context.registry.examples(catalogue.id)
    assert keys_of(context, gone)
    broken = outage(monkeypatch, context, where)
    with pytest.raises(Unavailable):
        drop(context, "acme", "fruit", [gone.id], remember=remember)
    assert gone.id not in {one.id for one in context.registry.examples(catalogue.id)}
    broken.mend()
    assert sweep(context).deleted == 1
    assert keys_of(context, gone) == []
    assert keys_of(context, kept)
    assert sweep(context).deleted == 0


def test_nothing_is_left_to_do_where_nothing_breaks(context):
    catalogue = context.registry.catalogue("acme", "fruit")
    gone, *_ = context.registry.examples(catalogue.id)
    drop(context, "acme", "fruit", [gone.id])
    assert keys_of(context, gone) == []
    assert context.registry.deleted(10) == []


def test_what_came_back_meanwhile_stays(monkeypatch, tmp_path, context):
    catalogue = context.registry.catalogue("acme", "fruit")
    gone, *_ = context.registry.examples(catalogue.id)
    broken = outage(monkeypatch, context, "registry")
    with pytest.raises(Unavailable):
        drop(context, "acme", "fruit", [gone.id])
    broken.mend()
    ingested(context, tmp_path)
    assert sweep(context).deleted == 1
    assert keys_of(context, gone)


def test_a_catalogue_whose_deletion_broke_off_leaves_nothing_when_it_is_deleted_again(monkeypatch, context):
    broken = outage(monkeypatch, context, "blobs")
    with pytest.raises(Unavailable):
        delete_catalogue(context, "acme", "fruit")
    broken.mend()
    delete_catalogue(context, "acme", "fruit")
    assert context.blobs.keys("acme/") == []
    assert context.registry.deleted(10) == []
