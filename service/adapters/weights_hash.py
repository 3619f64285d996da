"""A hash of a network's weights: the same tensors give the same hash, however many files they are spread over.

Reads the safetensors format itself (eight bytes of header length, little-endian; a JSON header of names, dtypes, shapes
and offsets; the data), because hashing bytes needs no framework and no copy, and NumPy knows no bfloat16.
Format: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from pathlib import Path
from typing import Any

from service.errors import InvalidInput

_MAX_HEADER_BYTES = 100_000_000


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a `transformers` folder: one, or the shards that its index names.

    Raises InvalidInput when there are none: weights in other formats may run code when they are read.
    """
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        raise InvalidInput(f"{folder} holds no model.safetensors: weights are taken in the safetensors format only")
    try:
        names = sorted({Path(name).name for name in json.loads(index.read_text("utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidInput(f"{index} cannot be read ({error}): copy the encoder's folder again") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise InvalidInput(
            f"{folder} lacks {len(missing)} of {len(names)} weight files, e.g. {missing[0]}: copy it again"
        )
    return [folder / name for name in names]


def weights_sha256(folder: Path) -> str:
    """64 hex digits over name, dtype, shape and bytes of all tensors; metadata, order and sharding do not count.

    Raises InvalidInput when the files cannot be read as safetensors.
    """
    tensors: dict[str, tuple[str, list[int], bytes]] = {}
    for path in weight_files(folder):
        tensors.update(_tensor_hashes(path))
    whole = hashlib.sha256()
    for name in sorted(tensors):
        dtype, shape, digest = tensors[name]
        whole.update(json.dumps([name, dtype, shape], separators=(",", ":")).encode())
        whole.update(digest)
    return whole.hexdigest()


def _tensor_hashes(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header, start = _header(data)
            return {name: _tensor_hash(data, start, entry) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} is not a whole safetensors file ({error}): copy it again") from error


def _header(data: mmap.mmap) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(data[:8], "little")
    if length > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError(f"its header claims {length} bytes")
    return json.loads(data[8 : 8 + length]), 8 + length


def _tensor_hash(data: mmap.mmap, start: int, entry: dict[str, Any]) -> tuple[str, list[int], bytes]:
    first, last = entry["data_offsets"]
    if not 0 <= first <= last <= len(data) - start:
        raise ValueError(f"a tensor ends at byte {start + last} of {len(data)}")
    with memoryview(data) as view, view[start + first : start + last] as content:
        return entry["dtype"], entry["shape"], hashlib.sha256(content).digest()
