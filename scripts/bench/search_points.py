"""Points for the benchmark of searching: clustered unit vectors, written by the stores' own methods."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
import qdrant_edge as edge

from service.adapters import vector_common
from service.adapters.edge_shards import FLUSH_INTERVAL_S
from service.core.voting import vote
from service.ports import Partition, Point, VectorStore

WIDTH = 384
CLASSES = 100
TOP = 10
WRITE = 2_000
"""Points an insert; the store cuts them further."""
QUERIES = 512
NOISE = 0.9
SELECTION = "bench"


@dataclass(frozen=True)
class Filling:
    """Vectors a second since the size before, microseconds of the processor for each, megabytes the process grew by."""

    per_s: float
    cpu_us: float
    memory_mb: float


class Stopwatch:
    """Seconds by the clock and of all threads of the process, of what `running` encloses."""

    def __init__(self) -> None:
        self.wall, self.cpu = 0.0, 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Adds what is done inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu

    def filling(self, points: int, memory_mb: float) -> Filling:
        """What was timed, shared among so many points."""
        return Filling(points / max(self.wall, 1e-9), 1e6 * self.cpu / max(points, 1), memory_mb)


def resident_mb() -> float:
    """Of this process, pages of mapped files included; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if statm.exists() else 0.0


def disk_mb(folder: Path) -> float:
    """Blocks that the folder's files take: Edge makes files longer than what it has written."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 2**20


def vectors_of(codes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Unit rows around the centres of their classes, float32 (n, WIDTH)."""
    centres = np.random.default_rng(1).standard_normal((CLASSES, WIDTH), dtype=np.float32)
    rows = centres[codes] + NOISE * random.standard_normal((len(codes), WIDTH), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def points_of(codes: np.ndarray, random: np.random.Generator) -> list[Point]:
    """A point a row, as an ingest would write it."""
    return [
        Point(
            str(uuid.UUID(bytes=random.bytes(16), version=4)),
            row,
            {"label": f"class {code:03d}", "split": "support", "content_hash": f"{number:064x}", "source": f"{number}"},
        )
        for number, (code, row) in enumerate(zip(codes.tolist(), vectors_of(codes, random), strict=True))
    ]


@dataclass(eq=False)
class Catalogue:
    """One catalogue of a collection of its own, that grows, and what NumPy needs to answer as it does."""

    partition: Partition
    random: np.random.Generator
    size: int = 0
    first: list[Point] = field(default_factory=list)
    """The points that may become references: those written first."""
    references: np.ndarray = field(default_factory=lambda: np.zeros((0, WIDTH), np.float32))
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @staticmethod
    def new(store: VectorStore, seed: int) -> Catalogue:
        """An empty one."""
        partition = Partition(f"bench-{uuid.uuid4().hex[:12]}", "asked", str(uuid.uuid4()))
        store.open_collection(partition.collection, WIDTH)
        return Catalogue(partition, np.random.default_rng(seed))

    def grow(self, store: VectorStore, size: int) -> Filling:
        """Write points until there are `size`; making them up does not count."""
        watch, before, started = Stopwatch(), resident_mb(), self.size
        while self.size < size:
            count = min(WRITE, size - self.size)
            points = points_of(np.arange(self.size, self.size + count) % CLASSES, self.random)
            with watch.running():
                store.insert(self.partition, points)
            self.size += count
            if len(self.first) < 20_000:
                self.first += points
        return watch.filling(size - started, resident_mb() - before)

    def flag(self, store: VectorStore, count: int) -> None:
        """Make the first `count` points references, projected as they are."""
        chosen = sorted(self.first[:count], key=lambda point: point.payload["label"])
        self.references = np.stack([point.embedding for point in chosen])
        _, self.starts = np.unique([point.payload["label"] for point in chosen], return_index=True)
        store.flag(self.partition, "a", SELECTION, [point.id for point in chosen], self.references)

    def _queries(self, batch: int) -> Iterator[np.ndarray]:
        rows = vectors_of(self.random.integers(0, CLASSES, QUERIES), self.random)
        return cycle([rows[start : start + batch] for start in range(0, QUERIES, batch)])

    def asking(self, store: VectorStore, batch: int) -> Callable[[], object]:
        """Classifies the next queries: the search, and the vote that makes answers of it."""
        queries, where = self._queries(batch), {vector_common.selection_key("a"): SELECTION}

        def ask() -> object:
            found = store.nearest_per_label(self.partition, "projection_a", next(queries), where, 1, TOP)
            return [vote(one, 1, 0.05, 5) for one in found]

        return ask

    def product(self, batch: int) -> Callable[[], object]:
        """The limit: similarities with all references, and each query's best class."""
        queries = self._queries(batch)

        def ask() -> object:
            similarities = next(queries) @ self.references.T
            return np.maximum.reduceat(similarities, self.starts, axis=1).argmax(axis=1)

        return ask


def inserted(store: VectorStore, beside: Catalogue, points: int, catalogues: int) -> None:
    """`points` of other tenants beside a catalogue, dealt over `catalogues`; up to a thousand have a reference."""
    random = np.random.default_rng(7)
    each = points // catalogues
    for number in range(catalogues):
        partition = Partition(beside.partition.collection, f"tenant {number}", str(uuid.uuid4()))
        for start in range(0, each, WRITE):
            made = points_of(random.integers(0, CLASSES, min(WRITE, each - start)), random)
            store.insert(partition, made)
            if start == 0 and number < 1_000:
                store.flag(partition, "a", f"of {number}", [made[0].id], made[0].embedding[None])


@contextmanager
def without_flag_index() -> Iterator[None]:
    """Stores opened inside index everything but the flags."""
    known = vector_common.INDEXED_KEYS
    vector_common.INDEXED_KEYS = tuple(key for key in known if key not in vector_common.FLAG_KEYS)
    try:
        yield
    finally:
        vector_common.INDEXED_KEYS = known


@dataclass(eq=False)
class BareEdge:
    """The limit of writing: Edge with the same vectors and payload indexes, and points that are ready, nothing checked.

    It is flushed as often as the store is: they share a disk, and what waits for one slows down the other.

    It grows as the catalogue does, so that what Edge itself slows down by can be told from what the store adds.
    """

    shard: edge.EdgeShard
    random: np.random.Generator
    size: int = 0
    flushed_s: float = field(default_factory=time.monotonic)

    @staticmethod
    def new(folder: Path, seed: int) -> BareEdge:
        """An empty one."""
        vectors = {str(name): edge.EdgeVectorParams(WIDTH, edge.Distance.Cosine) for name in vector_common.VECTORS}
        shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=vectors))
        for key in vector_common.INDEXED_KEYS:
            shard.update(edge.UpdateOperation.create_field_index(key, edge.PayloadSchemaType.Keyword))
        return BareEdge(shard, np.random.default_rng(seed))

    def grow(self, size: int) -> Filling:
        """Upsert until there are `size`."""
        partition, watch, started = Partition("bare", "asked", str(uuid.UUID(int=1))), Stopwatch(), self.size
        before = resident_mb()
        while self.size < size:
            count = min(WRITE, size - self.size)
            made = points_of(np.arange(self.size, self.size + count) % CLASSES, self.random)
            ready = [
                edge.Point(p.id, {"embedding": p.embedding.tolist()}, vector_common.stored_payload(partition, p))
                for p in made
            ]
            with watch.running():
                for batch in vector_common.batches(ready):
                    mode = edge.UpdateMode.InsertOnly
                    self.shard.update(edge.UpdateOperation.upsert_points(list(batch), update_mode=mode))
                if time.monotonic() - self.flushed_s > FLUSH_INTERVAL_S:
                    self.shard.flush()
                    self.flushed_s = time.monotonic()
            self.size += count
        return watch.filling(size - started, resident_mb() - before)
