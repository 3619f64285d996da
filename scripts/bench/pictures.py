"""The benchmarks' pictures, and their embeddings, encoded once and cached by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
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


def embedded(pictures: Pictures) -> LabelledEmbeddings:
    """Embeddings by the packaged ViT. The cache's key is every file's content and the encoder's fingerprint."""
    encoder = Encoders(cache_folder() / "encoders").load(PACKAGED_ENCODER)
    contents = hashlib.sha256()
    for path in pictures.paths:
        contents.update(hashlib.sha256(path.read_bytes()).digest())
    cache = cache_folder() / f"{pictures.name}-{encoder.fingerprint.digest}-{contents.hexdigest()[:16]}.npz"
    if not cache.exists():
        _encode(pictures, encoder, cache)
    with np.load(cache, allow_pickle=False) as arrays:
        embeddings, hashes = arrays["embeddings"], [str(value) for value in arrays["hashes"]]
    classes, codes = np.unique(pictures.labels, return_inverse=True)
    codes = codes.astype(np.int64)
    groups = near_duplicate_groups(hashes, embeddings, codes)
    ids = tuple(str(path) for path in pictures.paths)
    return LabelledEmbeddings(embeddings, codes, tuple(str(label) for label in classes), ids, groups)


def _encode(pictures: Pictures, encoder: Encoder, cache: Path) -> None:
    decoder = PillowDecoder()
    embeddings, hashes = [], []
    total = -(-len(pictures.paths) // BATCH)

    def prepared(path: Path) -> tuple[Float32Array, str]:
        decoded = decoder.decode(path.read_bytes(), encoder.shortest_edge_px)
        return encoder.preprocess(decoded.pixels), decoded.perceptual_hash

    with ThreadPoolExecutor(2) as threads:
        for batch in track(_batches(pictures.paths), f"embedding {pictures.name}", total):
            inputs, found = zip(*threads.map(prepared, batch), strict=True)
            embeddings.append(encoder.encode(inputs))
            hashes.extend(found)
    temporary = cache.with_suffix(".partial.npz")
    np.savez(temporary, embeddings=np.concatenate(embeddings), hashes=np.array(hashes))
    temporary.replace(cache)
