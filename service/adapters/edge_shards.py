"""Shard folders of Qdrant Edge: making, opening, sharing between threads, closing. One folder a collection.

What was measured on Edge 0.9 and decides how it is used here:

- `optimize()` is never called. Shards then have no vector index, every search is an exact scan over the points that the
  payload index lets through (0.2 ms at 300 references, 1 ms at 3 000), and no request ever stands still while segments
  are rebuilt (1.7 s at 8 000 points).
- A write is on its way to the disk, through the write-ahead log, when it is acknowledged: a kill loses nothing. A power
  cut loses what came after the last flush; flushing costs 15 ms on a quiet disk and 200 ms on a busy one, all threads
  waiting, so it happens every FLUSH_INTERVAL_S seconds of writing, as on a Qdrant server, and when the store is closed
  (`close` makes the same system calls as `flush`, so one of them is enough).
- A new point of 384 floats is 7 360 bytes of writing: 1 540 its embedding, 3 050 the two projections that it does not
  have yet (Edge writes them all the same), 2 160 the log, 280 seven payload indexes, 330 the payload. A disk of
  140 MB/s so bounds a long ingest to 19 000 points a second, once the memory for unwritten pages is full.
- Its processor time per point grows with what is kept: malloc's share of a process's samples goes from 4 to 13 %
  between 100 000 and 900 000 points. A filled payload index costs 2 to 4 microseconds and some 130 bytes of memory a
  point, one over a key that the points lack 0.5 microseconds. Ids and indexes are 0.4 KB a point; `Memory.Cold` for
  indexes changes nothing, since those of a segment that grows are held in memory, and Edge never begins a new segment
  by itself. Projections as multivectors are written all the same.
- Edge holds the interpreter lock during each call, so threads take turns anyway. The lock here makes pairs such as
  "look whose ids these are, then write" whole: Edge refuses a batch when one of its ids has just been deleted.
- A shard that was opened before a fork hangs the child; here the child gets a sentence instead.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as edge

from service.adapters import vector_common as common
from service.errors import DataDirectoryInUse, InvalidInput, Unavailable

FLUSH_INTERVAL_S = 5.0

_COLLECTION = re.compile(r"[A-Za-z0-9_-]+")


class EdgeShards:
    """The open shards of one data directory. `lock` may be held over several calls of the same thread."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when it is not there; nothing is opened yet."""
        self.lock = threading.RLock()
        self._folder = folder
        self._shards: dict[str, edge.EdgeShard] = {}
        self._widths: dict[str, int] = {}
        self._flushed_at: dict[str, float] = {}
        self._process = os.getpid()
        self._closed = False
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, collection: str, dimension: int) -> None:
        """Make the collection when it is not there, and open it.

        Raises:
            InvalidInput: when the name cannot be a folder's.
            EncoderMismatch: when it is there with another width.
            DataDirectoryInUse: when another process has it open.
        """
        if not _COLLECTION.fullmatch(collection):
            raise InvalidInput(f"collection {collection!r} cannot name a folder; use letters, digits, - and _")
        with self.lock:
            if not self.exists(collection):
                self._create(collection, dimension)
            common.check_width(collection, self.width(collection), dimension)

    def exists(self, collection: str) -> bool:
        """Was the collection ever opened in this folder?"""
        self._check_usable()
        return (self._folder / collection).is_dir()

    def width(self, collection: str) -> int:
        """The collection's d. Raises as `using` does."""
        self._shard(collection)
        return self._widths[collection]

    @contextmanager
    def using(self, collection: str) -> Iterator[edge.EdgeShard]:
        """The collection's shard, for calls to Edge alone: whatever they raise becomes Unavailable.

        Raises:
            NotFound: when there is no such collection.
            DataDirectoryInUse: when another process has it open.
            Unavailable: when Edge fails, e.g. on a full disk.
        """
        shard = self._shard(collection)
        try:
            yield shard
        except Exception as error:  # Edge has no exception class of its own
            raise Unavailable(f"the vector store in {self._folder / collection} failed: {error}") from error

    def write(self, collection: str, operations: Sequence[edge.UpdateOperation]) -> None:
        """Apply the operations in order. Raises as `using` does."""
        with self.lock, self.using(collection) as shard:
            for operation in operations:
                shard.update(operation)
            if time.monotonic() - self._flushed_at[collection] > FLUSH_INTERVAL_S:
                shard.flush()
                self._flushed_at[collection] = time.monotonic()

    def close(self) -> None:
        """Let go of all shards. Nothing may be asked afterwards; closing again is fine."""
        with self.lock:
            if os.getpid() == self._process:
                for shard in self._shards.values():
                    shard.close()
            self._shards.clear()
            self._closed = True

    def _check_usable(self) -> None:
        if self._closed:
            raise RuntimeError("the vector store was closed; nothing may be asked of it any more")
        if os.getpid() != self._process:
            raise DataDirectoryInUse(
                f"the vector store in {self._folder} belongs to process {self._process}, which this one was forked "
                f"from: set HOLOTYPE_QDRANT_URL to share a Qdrant server between processes"
            )

    def _shard(self, collection: str) -> edge.EdgeShard:
        with self.lock:
            if not self.exists(collection):
                raise common.no_collection(collection, f"the vector store in {self._folder}")
            if collection not in self._shards:
                path = self._folder / collection
                self._shards[collection] = _load(path)
                self._widths[collection] = _width_of(path)
                self._flushed_at[collection] = time.monotonic()
            return self._shards[collection]

    def _create(self, collection: str, dimension: int) -> None:
        """Make the shard beside its place and move it there: what has the name is whole, even after a kill."""
        building = self._folder / f".building-{collection}"
        shutil.rmtree(building, ignore_errors=True)
        vectors = {
            str(name): edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine) for name in common.VECTORS
        }
        shard = edge.EdgeShard.create(str(building), edge.EdgeConfig(vectors=vectors))
        _index(shard)
        shard.close()
        building.rename(self._folder / collection)


def _load(path: Path) -> edge.EdgeShard:
    try:
        shard = edge.EdgeShard.load(str(path))
        _index(shard)  # a folder of an older version lacks what is indexed since: 0.1 s at 20 000 points, once
    except Exception as error:  # Edge has no exception class of its own
        if "WouldBlock" in str(error):
            raise DataDirectoryInUse(
                f"another process has the vector store in {path.parent} open: wait until it has ended, "
                f"name another folder with --data-dir, or set HOLOTYPE_QDRANT_URL to share a Qdrant server",
                folder=str(path.parent),
            ) from error
        raise Unavailable(f"the vector store in {path} cannot be opened: {error}", folder=str(path)) from error
    return shard


def _index(shard: edge.EdgeShard) -> None:
    """Make the payload indexes that are not there."""
    missing = [key for key in common.INDEXED_KEYS if key not in shard.info().payload_schema]
    for key in missing:
        shard.update(edge.UpdateOperation.create_field_index(key, edge.PayloadSchemaType.Keyword))
    if missing:
        shard.flush()


def _width_of(path: Path) -> int:
    """Edge keeps the shard's configuration beside its data, but has no call that tells it."""
    config = json.loads((path / "edge_config.json").read_text(encoding="utf-8"))
    return int(config["vectors"]["embedding"]["size"])
