"""What the tests of vector stores share: the stores by name, points to put in, and the answers worked out in NumPy."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from service.adapters.vector_edge import EdgeStore
from service.adapters.vector_exact import ExactStore
from service.adapters.vector_hot import HotEdgeStore
from service.adapters.vector_qdrant import QdrantStore
from service.core.model import Neighbour
from service.ports import Partition, Point, VectorStore
from tests.qdrant_double import running_double

STORES = ("exact", "edge", "hot", "qdrant-local", "qdrant-double", "qdrant-server")
ON_DISK = ("edge", "qdrant-local-folder")
SERVER_URL = "HOLOTYPE_TEST_QDRANT_URL"
DIMENSION = 8


@contextmanager
def opened(name: str, folder: Path) -> Iterator[VectorStore]:
    """A store by name, closed at the end."""
    with _made(name, folder) as store:
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _made(name: str, folder: Path) -> Iterator[VectorStore]:
    simple: dict[str, Callable[[], VectorStore]] = {
        "exact": ExactStore,
        "edge": lambda: EdgeStore(folder / "vectors"),
        "hot": lambda: HotEdgeStore(folder / "vectors", 2**26),
        "qdrant-local": QdrantStore.local,
        "qdrant-local-folder": lambda: QdrantStore.local(str(folder / "vectors")),
    }
    if name in simple:
        yield simple[name]()
    elif name == "qdrant-double":
        with running_double() as double:
            yield QdrantStore.at(double.url)
    else:
        url = os.environ.get(SERVER_URL)
        if not url:
            pytest.skip(f"no Qdrant server: set {SERVER_URL} to test against one")
        store = QdrantStore.at(url)
        before = {collection.name for collection in store._client.get_collections().collections}
        yield store
        client = QdrantStore.at(url)._client
        for collection in client.get_collections().collections:
            if collection.name not in before and collection.name.startswith("holotype-test-"):
                client.delete_collection(collection.name)


def new_partition(store: VectorStore, dimension: int = DIMENSION) -> Partition:
    """A partition of a collection of its own."""
    collection = f"holotype-test-{uuid.uuid4().hex[:12]}"
    store.open_collection(collection, dimension)
    return Partition(collection, "tenant", str(uuid.uuid4()))


def unit_rows(n: int, dimension: int = DIMENSION, seed: int = 0) -> np.ndarray:
    """float32 (n, d), unit rows."""
    rows = np.random.default_rng(seed).normal(size=(n, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def new_id() -> str:
    return str(uuid.uuid4())


def points_of(labels: list[str], embeddings: np.ndarray, split: str = "support") -> list[Point]:
    """A point a label, with new ids."""
    return [
        Point(
            new_id(),
            row,
            {"label": label, "split": split, "content_hash": f"{i:064x}", "source": f"{label}/{i}.png", "width_px": 8},
        )
        for i, (label, row) in enumerate(zip(labels, embeddings, strict=True))
    ]


def class_means(labels: list[str], similarities: np.ndarray, per_label: int) -> dict[str, float]:
    """Each class's mean of its `per_label` best similarities (of all where there are fewer), for one query."""
    kinds = np.array(labels)
    return {
        label: float(np.sort(similarities[kinds == label].astype(np.float64))[::-1][:per_label].mean())
        for label in sorted(set(labels))
    }


def assert_best_per_label(
    answer: list[Neighbour], labels: list[str], similarities: np.ndarray, per_label: int, wanted: int
) -> None:
    """The answer holds the best classes with their best points, nearest first; scores agree to rounding."""
    expected = class_means(labels, similarities, per_label)
    best = sorted(expected.values(), reverse=True)[:wanted]
    got: dict[str, list[float]] = {}
    for found in answer:
        got.setdefault(found.label, []).append(found.similarity)
    means = {label: float(np.mean(values)) for label, values in got.items()}
    assert sorted(means.values(), reverse=True)[: len(best)] == pytest.approx(best, abs=2e-6)
    for label, mean in means.items():
        assert mean == pytest.approx(expected[label], abs=2e-6), label
        assert len(got[label]) == min(per_label, labels.count(label))
    assert [n.similarity for n in answer] == sorted((n.similarity for n in answer), reverse=True)
