"""The picture behind an example, with parts that can be stopped in the middle."""

from __future__ import annotations

import pytest

from service.errors import ExampleNotFound, NotFound
from service.usecases.context import THUMBNAIL_EDGES_PX, image_key, thumbnail_key
from service.usecases.decide import drop
from service.usecases.pictures import media_type_of, original, thumbnail
from tests.fakes import fake_context, fruit, ingested, write_pictures


@pytest.fixture
def context(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "pictures", fruit(2)))
    return context


def first(context):
    return context.registry.examples(context.registry.catalogue("acme", "fruit").id)[0]


def never(tag):
    return False


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"<svg xmlns='x'>", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_media_type(data, kind):
    assert media_type_of(data) == kind


def test_bytes_that_are_no_picture_are_not_handed_out(context):
    with pytest.raises(NotFound, match="no JPEG, PNG or WebP"):
        original(context, "acme", "fruit", first(context).id, never)


def test_who_has_it_reads_nothing(context):
    one = first(context)
    context.blobs.down = True
    for picture in (
        original(context, "acme", "fruit", one.id, {one.content_hash}.__contains__),
        thumbnail(context, "acme", "fruit", one.id, 100, {f"{one.content_hash}-160"}.__contains__),
    ):
        assert picture.data is None


@pytest.mark.parametrize(("asked", "sent"), [(32, 32), (33, 64), (160, 160), (161, 256), (512, 512)])
def test_the_next_larger_size_is_made_once(context, asked, sent):
    one = first(context)
    small = thumbnail(context, "acme", "fruit", one.id, asked, never)
    assert small.tag == f"{one.content_hash}-{sent}"
    assert small.data is not None
    assert small.data.startswith(b"%d px" % sent)
    decoded = sum(context.decoder.decoded.values())
    assert thumbnail(context, "acme", "fruit", one.id, asked, never).data == small.data
    assert sum(context.decoder.decoded.values()) == decoded


def test_a_picture_dropped_while_its_thumbnail_is_made_leaves_none(context, monkeypatch):
    one = first(context)
    make = context.decoder.thumbnail

    def slow(data, edge_px, box):
        drop(context, "acme", "fruit", [one.id])
        return make(data, edge_px, box)

    monkeypatch.setattr(context.decoder, "thumbnail", slow)
    thumbnail(context, "acme", "fruit", one.id, 64, never)
    assert not [key for key in context.blobs.data if one.content_hash in key]
    with pytest.raises(ExampleNotFound):
        thumbnail(context, "acme", "fruit", one.id, 64, never)


def test_thumbnails_stay_while_another_catalogue_has_the_picture(context, tmp_path):
    ingested(context, tmp_path / "pictures", name="more")
    one = first(context)
    for edge_px in THUMBNAIL_EDGES_PX:
        thumbnail(context, "acme", "fruit", one.id, edge_px, never)
    drop(context, "acme", "fruit", [one.id])
    assert thumbnail_key("acme", 64, one.content_hash) in context.blobs.data
    other = context.registry.examples_by_hash(context.registry.catalogue("acme", "more").id, [one.content_hash])
    drop(context, "acme", "more", [other[one.content_hash].id])
    assert not [key for key in context.blobs.data if one.content_hash in key]


def test_bytes_that_are_gone_are_told_without_naming_where_they_were(context):
    one = first(context)
    context.blobs.delete([image_key("acme", one.content_hash)])
    with pytest.raises(NotFound, match="ingest the same picture again") as caught:
        thumbnail(context, "acme", "fruit", one.id, 64, never)
    assert "acme/" not in caught.value.message
