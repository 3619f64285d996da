"""The real decoder process, with every defect that a picture could ask of a native decoder: "deadly:WHAT" in it."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from service.adapters import decoder_process
from service.adapters.images import PillowDecoder
from service.errors import ImageRejected
from service.ports import DecodedImage


class DeadlyDecoder(PillowDecoder):
    """Does what the file says."""

    def decode(self, data, shortest_edge_px, box=None):
        if b"deadly:" in data:
            return DEFECTS[data.rpartition(b"deadly:")[2].decode()]()
        return super().decode(data, shortest_edge_px, box)


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def leave():
    os._exit(3)


def spin():
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    assert soft - decoder_process.CPU_S - 1 <= used.ru_utime + used.ru_stime <= soft
    resource.setrlimit(resource.RLIMIT_CPU, (soft - decoder_process.CPU_S + 1, hard))  # a test has no minute
    while True:
        pass


def fill():
    Image.new("RGB", (20_000, 20_000))


def write():
    os.write(os.memfd_create("file"), b"x")


def lie():
    return DecodedImage(np.zeros((2, 2, 1), np.uint8), 2, 2, "0" * 16)


def flood():
    raise ImageRejected("x" * 10_000_000)


def steer():
    raise ImageRejected("\x1b[31mred\x1b sentence")


def tell():
    files = [str(one.readlink()) for one in [*Path("/proc/self/fd").iterdir()] if one.is_symlink()]
    raise ImageRejected(f"{sorted(os.environ)} {files}")


DEFECTS = {one.__name__: one for one in (crash, leave, spin, fill, write, lie, flood, steer, tell)}


if __name__ == "__main__":
    decoder_process.PillowDecoder = DeadlyDecoder
    decoder_process.main(sys.argv[1:])
