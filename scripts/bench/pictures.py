"""The benchmarks' pictures, and their embeddings, encoded once and cached by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

from service.adapters.encoders import Encoders
from service.adapters.images import PillowDecoder
from service.core.duplicates import near_duplicate_groups
from service.core.model import Float32Array, LabelledEmbeddings
from service.ports import Encoder
from service.settings import PACKAGED_ENCODER

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
DIGIT_PX = 64
BATCH = 32
SAVE_BATCHES = 10


class MissingDataError(Exception):
    """A data set that cannot be had here, and why."""


@dataclass(frozen=True)
class Pictures:
    """Files with their labels."""

    name: str
    paths: tuple[Path, ...]
    labels: tuple[str, ...]


def cache_folder() -> Path:
    """Where pictures and embeddings of benchmarks are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "holotype" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def folder_pictures(name: str, folder: Path) -> Pictures:
    """A folder per class. Raises MissingDataError when it is not there."""
    if not folder.is_dir():
        raise MissingDataError(f"{name}: no folder {folder}")
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    return Pictures(name, tuple(paths), tuple(path.parent.name for path in paths))


def write_digits(folder: Path, limit: int | None = None) -> Pictures:
    """scikit-learn's 1 797 handwritten digits as PNG files, `limit` a class at most."""
    from PIL import Image

    digits = load_digits()
    seen = dict.fromkeys(range(10), 0)
    for number, (picture, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        seen[int(digit)] += 1
        path = folder / str(digit) / f"digit-{number:04d}.png"
        if (limit is not None and seen[int(digit)] > limit) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((picture * 255.0 / 16.0).round().astype(np.uint8))
        grey.resize((DIGIT_PX, DIGIT_PX), Image.Resampling.NEAREST).save(path)
    return folder_pictures("digits", folder)


def _batches(paths: Iterable[Path]) -> Iterable[list[Path]]:
    iterator = iter(paths)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def embedded(pictures: Pictures, specification: str = PACKAGED_ENCODER) -> LabelledEmbeddings:
    """Embeddings by an encoder, each made once: the cache's key is a file's content and the encoder."""
    encoder = Encoders(cache_folder() / "encoders").load(specification)
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures.paths]
    cache = _Cache(cache_folder() / f"{pictures.name}-{encoder.fingerprint.digest}.npz")
    missing = [path for path, content in zip(pictures.paths, contents, strict=True) if content not in cache.rows]
    _encode(pictures.name, missing, encoder, cache)
    rows = [cache.rows[content] for content in contents]
    embeddings = np.stack([embedding for embedding, _ in rows])
    classes, codes = np.unique(pictures.labels, return_inverse=True)
    codes = codes.astype(np.int64)
    groups = near_duplicate_groups([perceptual for _, perceptual in rows], embeddings, codes)
    ids = tuple(str(path) for path in pictures.paths)
    return LabelledEmbeddings(embeddings, codes, tuple(str(label) for label in classes), ids, groups)


class _Cache:
    """Content hash to embedding and perceptual hash, in a file that outlives the run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, tuple[Float32Array, str]] = {}
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                contents, embeddings, hashes = (arrays[name] for name in ("contents", "embeddings", "hashes"))
            for content, embedding, perceptual in zip(contents, embeddings, hashes, strict=True):
                self.rows[str(content)] = (embedding, str(perceptual))

    def save(self) -> None:
        temporary = self.path.with_suffix(f".{os.getpid()}.partial.npz")
        np.savez(
            temporary,
            contents=np.array(list(self.rows)),
            embeddings=np.stack([embedding for embedding, _ in self.rows.values()]),
            hashes=np.array([perceptual for _, perceptual in self.rows.values()]),
        )
        temporary.replace(self.path)


def _encode(name: str, paths: Sequence[Path], encoder: Encoder, cache: _Cache) -> None:
    """Fill the cache, which is kept every so often: a run that is stopped goes on where it was."""
    decoder = PillowDecoder()

    def prepared(path: Path) -> tuple[Float32Array, str, str]:
        data = path.read_bytes()
        decoded = decoder.decode(data, encoder.shortest_edge_px)
        return encoder.preprocess(decoded.pixels), decoded.perceptual_hash, hashlib.sha256(data).hexdigest()

    with ThreadPoolExecutor(2) as threads:
        for number, batch in enumerate(track(list(_batches(paths)), f"embedding {name}", disable=not paths), 1):
            inputs, perceptual, contents = zip(*threads.map(prepared, batch), strict=True)
            rows = zip(encoder.encode(inputs), perceptual, strict=True)
            cache.rows.update(zip(contents, rows, strict=True))
            if number % SAVE_BATCHES == 0:
                cache.save()
    if paths:
        cache.save()
