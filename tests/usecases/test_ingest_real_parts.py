"""Ingest on the parts that people run: SQLite, Qdrant Edge, files, Pillow and the pixel encoder."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from service.adapters.blob_store import FsspecBlobStore
from service.adapters.encoders import Encoders
from service.adapters.images import PillowDecoder
from service.adapters.registry_sql import SqlRegistry
from service.adapters.vector_edge import EdgeStore
from service.records import ExampleState
from service.usecases.catalogues import delete_catalogue, show_catalogue
from service.usecases.context import partition_of
from service.usecases.decide import drop, relabel
from service.usecases.ingest import start_ingest
from service.usecases.sweep import sweep
from tests.fakes import FakeClock, fake_context, ingested, write_pictures


@contextmanager
def opened(folder):
    """A data directory, as one process has it open."""
    clock = FakeClock()
    registry = SqlRegistry(f"sqlite:///{folder / 'holotype.db'}", clock)
    registry.expire_leases()
    store = EdgeStore(folder / "vectors")
    try:
        yield fake_context(
            registry=registry,
            store=store,
            blobs=FsspecBlobStore(str(folder / "blobs")),
            decoder=PillowDecoder(),
            encoders=Encoders(folder / "encoders", device="cpu"),
            clock=clock,
        )
    finally:
        store.close()
        registry.close()


def encoded(seed, form="PNG", edge=40):
    """A picture of large patches: alike after compression, unlike other seeds."""
    patches = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(patches).resize((edge, edge), Image.Resampling.NEAREST).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    pictures = {}
    for row, label in enumerate(("apple", "pear")):
        for n, form in enumerate(["PNG", "JPEG", "WEBP", "PNG", "JPEG", "PNG", "PNG"]):
            pictures[f"{label}/{n}.{form.lower()}"] = encoded(10 * row + n, form)
    pictures["apple/again.png"] = encoded(0, "PNG", edge=200)  # the same picture in another size
    pictures["pear/apple.png"] = pictures["apple/3.png"]
    pictures["pear/broken.jpg"] = encoded(99, "JPEG")[:100]
    return write_pictures(tmp_path / "pictures", pictures)


def state(context):
    """What the catalogue holds, whatever the order of events was."""
    catalogue = context.registry.catalogue("acme", "fruit")
    partition = partition_of(catalogue)
    stored = context.store.fetch(partition, context.store.ids(partition, {}), with_embeddings=False)
    hashes = {one.id: one.content_hash for one in context.registry.examples(catalogue.id)}
    rows = sorted((one.content_hash, one.split, one.state) for one in context.registry.examples(catalogue.id))
    return rows, sorted((hashes[key], one["split"]) for key, one in zip(stored.ids, stored.payloads, strict=True))


def test_the_whole_way(tmp_path, folder):
    with opened(tmp_path) as context:
        report = ingested(context, folder, encoder="pixel")
        assert {key: report[key] for key in ("stored", "duplicate", "conflict", "failed")} == {
            "stored": 14,
            "duplicate": 0,
            "conflict": 2,
            "failed": 1,
        }
        assert report["errors"][0]["path"].endswith("pear/broken.jpg")
        assert report["errors"][0]["reason"]
        before = state(context)
        rows = context.registry.examples(context.registry.catalogue("acme", "fruit").id)
        twins = [one for one in rows if one.source.endswith(("apple/0.png", "apple/again.png"))]
        assert len({one.split for one in twins}) == 1
    with opened(tmp_path) as context:
        again = ingested(context, folder, encoder="pixel")
        assert (again["stored"], again["duplicate"], again["conflict"], again["failed"]) == (0, 14, 2, 1)
        assert state(context) == before
        decided = relabel(context, "acme", "fruit", report["conflicts"][0]["id"], "apple")
        assert decided.state is ExampleState.ACTIVE
        assert show_catalogue(context, "acme", "fruit").labels == {"apple": 8, "pear": 7}
        drop(context, "acme", "fruit", [decided.id])
        assert show_catalogue(context, "acme", "fruit").labels == {"apple": 7, "pear": 7}
        delete_catalogue(context, "acme", "fruit")
        assert context.blobs.keys("acme/") == []


@pytest.mark.parametrize("worked", [0, 1, 3, 5])
def test_a_process_that_ends_in_the_middle_loses_and_doubles_nothing(tmp_path, folder, worked):
    with opened(tmp_path / "whole") as context:
        ingested(context, folder, encoder="pixel")
        expected = state(context)
    with opened(tmp_path / "broken") as context:
        start_ingest(context, "acme", "fruit", folder, encoder="pixel")
        context.queue.deliver(context, most=worked)
        context.registry.claim_chunk(context.registry.open_chunks()[0][0], 3, "dead", 600) if worked < 3 else None
    with opened(tmp_path / "broken") as context:
        sweep(context)
        report = ingested(context, folder, encoder="pixel")
        assert report["stored"] + report["duplicate"] == 14
        assert (report["conflict"], report["failed"]) == (2, 1)
        assert state(context) == expected
