"""How chunks share the threads that decode; what comes of pictures is tested with `embed`."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.usecases.context import image_key
from service.usecases.encoding import embeddings_of
from tests.fakes import FAKE_ENCODER, FakeDecoder, fake_context, picture


class GatedDecoder(FakeDecoder):
    """Lets nothing of `held` through before the gate is opened; `order` are names as they were decoded."""

    def __init__(self, held: str = "") -> None:
        super().__init__()
        self.gate, self.at_gate, self.order = threading.Event(), threading.Event(), []
        self._held = held

    def decode(self, data, shortest_edge_px, box=None):
        before = dict(self.decoded)
        found = super().decode(data, shortest_edge_px, box)
        (name,) = [name for name, times in self.decoded.items() if times != before.get(name, 0)]
        self.order.append(name)
        if name == self._held:
            self.at_gate.set()
            assert self.gate.wait(20)
        return found


class Counting(ThreadPoolExecutor):
    """One thread; `submitted` is set once so many pictures wait for it."""

    def __init__(self, count: int) -> None:
        super().__init__(1)
        self._left, self.submitted = count, threading.Event()

    def submit(self, *args, **kwargs):
        future = super().submit(*args, **kwargs)
        self._left -= 1
        if not self._left:
            self.submitted.set()
        return future


class Broken(Exception):
    """Of an encoder."""


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def stored(context, names):
    """Pictures in the blob store, by their content hashes."""
    for number, name in enumerate(names):
        context.blobs.put(image_key("acme", name), picture(name, seed=number))
    return names


def test_of_two_chunks_side_by_side_the_first_is_decoded_first(threads):
    decoder = GatedDecoder(held="a0")
    with Counting(12) as decoders:
        context = fake_context(decoder=decoder, decoders=decoders)
        encoder = context.encoders.load(FAKE_ENCODER)
        one, other = (stored(context, [f"{chunk}{number}" for number in range(6)]) for chunk in "ab")
        first = threads.submit(embeddings_of, context, encoder, "acme", one)
        assert decoder.at_gate.wait(20)
        second = threads.submit(embeddings_of, context, encoder, "acme", other)
        assert decoders.submitted.wait(20)
        decoder.gate.set()
        assert [*first.result(20)] == one
        assert [*second.result(20)] == other
    assert decoder.order == [*one, *other]
    assert sorted(encoder.batches) == [3, 3, 3, 3]


def test_what_is_broken_off_is_decoded_no_further_and_leaves_the_threads_to_others():
    decoder = GatedDecoder(held="a4")
    with Counting(8) as decoders:
        context = fake_context(decoder=decoder, decoders=decoders)
        encoder = context.encoders.load(FAKE_ENCODER)

        def fails(_inputs):
            assert decoder.at_gate.wait(20)
            raise Broken

        encoder.encode, whole = fails, encoder.encode
        with pytest.raises(Broken):
            embeddings_of(context, encoder, "acme", stored(context, [f"a{number}" for number in range(8)]))
        encoder.encode = whole
        decoder.gate.set()
        assert [*embeddings_of(context, encoder, "acme", stored(context, ["b0"]))] == ["b0"]
    assert decoder.order == ["a0", "a1", "a2", "a3", "a4", "b0"]
