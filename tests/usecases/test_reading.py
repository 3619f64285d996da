"""Pictures that are asked about: what the tenant has embedded already is not encoded again."""

import numpy as np
import pytest

from service.usecases.context import embedding_key, partition_of
from service.usecases.decide import drop
from service.usecases.reading import read_pictures
from tests.fakes import FAKE_ENCODER, FakeEncoder, fruit, picture
from tests.usecases.serving import LABELS, fruit_of, stocked

HELD = list(fruit(8, LABELS).values())
NEW = [picture(f"new{number}", seed=90_000 + number) for number in range(5)]


@pytest.fixture
def context(tmp_path):
    return stocked(tmp_path)[0]


@pytest.fixture
def encoder(context):
    found = context.encoders.load(FAKE_ENCODER)
    found.encoded = 0
    return found


def test_what_the_tenant_holds_is_not_encoded_again(context, encoder):
    mixed = [NEW[0], *HELD[:6], NEW[1], HELD[7], NEW[2]]
    read = read_pictures(context, encoder, "acme", mixed)
    assert encoder.encoded == 3
    assert read.rows == tuple(range(10))
    plain = read_pictures(context, encoder, "acme2", mixed)
    assert encoder.encoded == 3 + 10
    np.testing.assert_allclose(read.embeddings, plain.embeddings, atol=1e-6)


def test_another_tenant_has_no_use_of_it(context, encoder):
    read_pictures(context, encoder, "other", HELD[:3])
    assert encoder.encoded == 3


def test_nothing_is_written_and_only_what_is_known_is_looked_for(context, encoder):
    before = set(context.blobs.keys(""))
    read_pictures(context, encoder, "acme", [*HELD, *NEW])
    assert set(context.blobs.keys("")) == before
    context.blobs.get = None  # whatever asks it for a picture that nobody holds fails
    read_pictures(context, encoder, "acme", NEW)


def test_another_encoder_or_part_of_the_picture_is_encoded(context, encoder):
    other = FakeEncoder("other")
    read_pictures(context, other, "acme", HELD[:2])
    assert other.encoded == 2
    read_pictures(context, encoder, "acme", HELD[:2], ["0,0,30,20", ""])
    assert encoder.encoded == 1


def test_an_embedding_that_cannot_be_read_is_made_again(context, encoder):
    catalogue = fruit_of(context)
    example = context.registry.examples(catalogue.id)[0]
    context.blobs.put(embedding_key("acme", encoder.fingerprint.digest, example.picture), b"torn")
    read = read_pictures(context, encoder, "acme", HELD)
    assert encoder.encoded == 1
    stored = context.store.fetch(partition_of(catalogue), [example.id]).embeddings[0]
    assert (read.embeddings @ stored).max() == pytest.approx(1, abs=1e-5)


def test_what_was_dropped_is_encoded_again(context, encoder):
    catalogue = fruit_of(context)
    drop(context, "acme", "fruit", [one.id for one in context.registry.examples(catalogue.id)])
    read_pictures(context, encoder, "acme", HELD[:3])
    assert encoder.encoded == 3


def test_pictures_that_cannot_be_used_leave_the_others_their_rows(context, encoder):
    read = read_pictures(context, encoder, "acme", [b"no picture", HELD[0], b"", NEW[0]])
    assert [isinstance(row, str) for row in read.rows] == [True, False, True, False]
    assert [row for row in read.rows if not isinstance(row, str)] == [0, 1]
    assert read.embeddings.shape == (2, encoder.fingerprint.dimension)
