"""Search by picture and by text over all examples of a catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from service.bootstrap import open_context
from service.errors import CatalogueNotFound, InvalidInput, LabelNotFound, NothingToServe
from service.records import ExampleState, Split
from service.settings import Settings
from service.usecases.context import partition_of
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from service.usecases.lookup import search_by_image, search_by_text
from tests.adapters.networks import write_clip
from tests.conftest import write_pictures as write_real_pictures
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, picture, write_pictures
from workers.embedded import embedded_workers

QUERY = picture("query", 77)


@pytest.fixture
def context(tmp_path):
    """Eight apples and pears each; one more picture is both."""
    pictures = fruit(8) | {"apple/both.png": picture("both", 78), "pear/both.png": picture("both", 78)}
    context = fake_context()
    ingested(context, write_pictures(tmp_path, pictures))
    return context


def rows(context):
    catalogue = context.registry.catalogue("acme", "fruit")
    examples = context.registry.examples(catalogue.id)
    points = context.store.fetch(partition_of(catalogue), [one.id for one in examples])
    return examples, points.embeddings


def test_all_examples_are_searched_by_their_raw_embeddings(context):
    found = search_by_image(context, "acme", "fruit", QUERY, top=100)
    examples, embeddings = rows(context)
    encoder = context.encoders.load(FAKE_ENCODER)
    query = encoder.encode([encoder.preprocess(context.decoder.decode(QUERY, 1).pixels)])[0]
    similarities = embeddings @ query
    assert [one.id for one in found] == [examples[row].id for row in np.argsort(-similarities)]
    assert [one.similarity for one in found] == pytest.approx(sorted(similarities.tolist(), reverse=True), abs=1e-6)
    by_id = {one.id: one for one in examples}
    for one in found:
        held = by_id[one.id].state is ExampleState.CONFLICT
        assert one.split == ("conflict" if held else by_id[one.id].split.value)
        assert (one.label, one.source) == (by_id[one.id].label, by_id[one.id].source)
    assert {one.split for one in found} >= {"support", "tuning", "holdout", "conflict"}


def test_only_as_many_as_asked_of_one_class_and_split(context):
    everything = search_by_image(context, "acme", "fruit", QUERY, top=100)
    assert search_by_image(context, "acme", "fruit", QUERY, top=3) == everything[:3]
    pears = [one for one in everything if one.label == "pear" and one.split == "support"]
    assert search_by_image(context, "acme", "fruit", QUERY, label=" pear ", split=Split.SUPPORT, top=100) == pears
    assert search_by_image(context, "acme", "fruit", QUERY, label="pear", split=Split.SUPPORT, top=2) == pears[:2]
    assert search_by_image(context, "acme", "fruit", QUERY, split=Split.UNASSIGNED) == []


def test_a_stored_picture_finds_itself(context):
    one = rows(context)[0][0]
    data = context.blobs.get(f"acme/images/{one.content_hash[:2]}/{one.content_hash}")
    first = search_by_image(context, "acme", "fruit", data, top=1)[0]
    assert first.id == one.id
    assert first.similarity == pytest.approx(1)
    assert first.similarity <= 1
    assert set(first.as_dict()) == {"id", "label", "split", "similarity", "source", "metadata"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top is 0; 1 to 1000"),
        ({"top": 1001}, "top is 1001"),
        ({"label": ""}, "the label is empty"),
    ],
)
def test_what_cannot_be_asked_is_said(context, options, message):
    with pytest.raises(InvalidInput, match=message):
        search_by_image(context, "acme", "fruit", QUERY, **options)
    with pytest.raises(InvalidInput, match=message):
        search_by_text(context, "acme", "fruit", "a pear", **options)


def test_a_class_that_there_is_not_is_not_found(context):
    with pytest.raises(LabelNotFound, match="no class 'plum' among its 2"):
        search_by_image(context, "acme", "fruit", QUERY, label="plum")
    with pytest.raises(LabelNotFound, match="no class 'plum' among its 2"):
        search_by_text(context, "acme", "fruit", "a pear", label="plum")


def test_a_picture_that_cannot_be_read_and_a_catalogue_that_cannot_answer(context):
    with pytest.raises(InvalidInput, match="cannot be searched with: the file is no picture"):
        search_by_image(context, "acme", "fruit", b"no picture")
    with pytest.raises(CatalogueNotFound):
        search_by_image(context, "other", "fruit", QUERY)
    context.registry.create_catalogue("acme", "empty", FAKE_ENCODER)
    with pytest.raises(NothingToServe):
        search_by_image(context, "acme", "empty", QUERY)


def test_an_encoder_without_text_says_what_to_do(context):
    with pytest.raises(InvalidInput, match="'fake' of catalogue 'fruit' knows pictures only: search with a pic"):
        search_by_text(context, "acme", "fruit", "a pear")


def test_text_finds_pictures_by_their_likeness_to_it(tmp_path):
    """With a real (tiny, random) CLIP: the order is that of the cosines between text and picture embeddings."""
    settings = Settings(data_dir=tmp_path / "data", encoder=str(write_clip(tmp_path / "clip")), chunk_images=8)
    folder = write_real_pictures(tmp_path / "pictures", classes=2, each=4)
    with open_context(settings) as context, embedded_workers(context, settings):
        job = start_ingest(
            context, "acme", "fruit", folder, split="auto", label=None, encoder=settings.encoder,
            on_progress=lambda *_: None,
        )  # fmt: skip
        wait_for_job(context, job.id, lambda *_: None)
        found = search_by_text(context, "acme", "fruit", " a green pear ", top=100)
        examples, embeddings = rows(context)
        query = context.encoders.load(settings.encoder).encode_text(["a green pear"])[0]
        expected = dict(zip([one.id for one in examples], (embeddings @ query).tolist(), strict=True))
        assert len(found) == 8
        assert {one.id: one.similarity for one in found} == pytest.approx(expected, abs=1e-5)
        assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
        of_one = search_by_text(context, "acme", "fruit", "a green pear", top=2, label="class-01")
        assert [one.label for one in of_one] == ["class-01"] * 2
        with pytest.raises(InvalidInput, match="the text is empty"):
            search_by_text(context, "acme", "fruit", "  ")


def test_metadata_narrows_the_search_and_comes_with_what_is_found(context):
    partition = partition_of(context.registry.catalogue("acme", "fruit"))
    everything = search_by_image(context, "acme", "fruit", QUERY, top=100)
    some = [one.id for one in everything[1::3]]
    told = {example_id: {"metadata": {"lot": "7", "shop": f"{n % 2}"}} for n, example_id in enumerate(some)}
    context.store.set_payload(partition, told)
    found = search_by_image(context, "acme", "fruit", QUERY, top=100, metadata={"lot": " 7 "})
    assert [one.id for one in found] == some
    assert found[1].as_dict()["metadata"] == {"lot": "7", "shop": "1"}
    narrow = search_by_image(context, "acme", "fruit", QUERY, top=100, metadata={"lot": 7, "shop": "1"})
    assert [one.id for one in narrow] == some[1::2]
    assert search_by_image(context, "acme", "fruit", QUERY, metadata={"lot": "8"}) == []


@pytest.mark.parametrize(
    ("metadata", "said"), [({"lot": " "}, "'lot' is empty"), ({"a b": "1"}, "metadata key"), ({"lot": []}, "text")]
)
def test_metadata_that_can_match_nothing_is_refused(context, metadata, said):
    with pytest.raises(InvalidInput, match=said):
        search_by_image(context, "acme", "fruit", QUERY, metadata=metadata)
