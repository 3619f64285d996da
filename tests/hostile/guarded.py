"""Hostile files given to the decoder that the service uses, and what its processes took for each."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.adapters.decoder_process import MEMORY_MB
from service.adapters.guarded_decoder import DECODER, GuardedDecoder
from service.adapters.image_refusals import MAX_PIXELS
from service.errors import ImageRejected
from tests.hostile.pictures import hostile_files

CAP_MB = MEMORY_MB
"""What decoding one picture may take at most, beside what the process has anyway."""
MB = 1024 * 1024
LONGEST_REASON = 400
EDGE_PX = 224


@dataclass(slots=True)
class Told:
    """What came of the files. `processes` are the decoders that there were: one, unless a file ended it."""

    taken: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    peak_mb: tuple[int, str] = (0, "")
    slowest_s: tuple[float, str] = (0.0, "")
    processes: set[int] = field(default_factory=set)


def decoded(count: int, seed: int) -> Told:
    """Decode so many hostile files one after the other. Linux only."""
    decoder, told = GuardedDecoder(processes=1), Told()
    decoder.size(_blank())  # from now on there is a process
    for name, data in hostile_files(count, seed):
        before, at = {one: _fresh_peak(one) for one in _decoders()}, time.perf_counter()
        try:
            picture = decoder.decode(data, EDGE_PX)
        except ImageRejected as error:
            told.refused += 1
            told.reasons[_kind(error.message)] += 1
            if not is_a_sentence(error.message):
                told.wrong.append(f"{name}: {error.message!r}")
        else:
            told.taken += 1
            if not _is_a_picture(picture):
                told.wrong.append(f"{name}: {picture.pixels.shape} of {picture.pixels.dtype}")
        told.slowest_s = max(told.slowest_s, (round(time.perf_counter() - at, 2), name))
        after = _decoders()
        told.processes |= set(after)
        for one in set(after) & set(before):
            told.peak_mb = max(told.peak_mb, (round((_status(one, "VmHWM") - before[one]) / MB), name))
    return told


def is_a_sentence(message: str) -> bool:
    """What a person can act on, and no part of the file itself."""
    return 20 < len(message) < LONGEST_REASON and "of memory to decode" not in message and message.isprintable()


def _is_a_picture(picture) -> bool:
    pixels = picture.pixels
    right = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    return right and picture.width_px * picture.height_px <= MAX_PIXELS


def _kind(message: str) -> str:
    """The sentence's beginning, without numbers."""
    return " ".join(message.translate(str.maketrans("", "", "0123456789")).split(" (")[0].split()[:8])


def _blank() -> bytes:
    from tests.adapters.pictures import as_file, noise

    return as_file(noise(seed=0))


def _decoders() -> list[int]:
    """Process ids of the decoders that this process has begun and that live."""
    children = Path(f"/proc/{os.getpid()}/task")
    found = [int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()]
    return [pid for pid in found if DECODER.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _status(pid: int, field: str) -> int:
    """Bytes that Linux gives for a field such as VmRSS."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024


def _fresh_peak(pid: int) -> int:
    """Bytes that are used now; from here on VmHWM tells the most since now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")
