"""Decodes hostile files in a process of its own, whose memory the system limits: `python -m tests.hostile.guarded`.

What it did is a JSON object on standard output. Should the process die of a file, the last line of the file that the
first argument names is what it died of.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from service.adapters.images import MAX_PIXELS, PillowDecoder
from service.errors import ImageRejected
from tests.hostile.pictures import hostile_files

CAP_MB = 1024
"""What decoding one picture may take at most, beside what the process has anyway."""
MB = 1024 * 1024
LONGEST_REASON = 400


def main(note: Path, count: int, seed: int) -> None:
    decoder = PillowDecoder()
    began = _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (began + CAP_MB * MB,) * 2)
    ended, reasons, wrong = Counter(), Counter(), []
    peaks, slow = [], []
    with note.open("w") as doing:
        for number, (name, data) in enumerate(hostile_files(count, seed)):
            doing.seek(0)
            doing.write(f"{number}: {name}\n")
            doing.flush()
            before, at = _fresh_peak(), time.process_time()
            try:
                decoded = decoder.decode(data, 224)
            except ImageRejected as error:
                ended["refused"] += 1
                reasons[_kind(error.message)] += 1
                if not is_a_sentence(error.message):
                    wrong.append(f"{name}: {error.message!r}")
            else:
                ended["taken"] += 1
                if not _is_a_picture(decoded):
                    wrong.append(f"{name}: {decoded.pixels.shape} of {decoded.pixels.dtype}")
            slow.append((round(time.process_time() - at, 2), name))
            peaks.append((round((_status("VmHWM") - before) / MB), name))
    sys.stdout.write(
        json.dumps(
            {
                "files": sum(ended.values()),
                **ended,
                "reasons": reasons.most_common(),
                "wrong": wrong[:20],
                "peak_mb": max(peaks),
                "slowest_s": max(slow),
            }
        )
    )


def is_a_sentence(message: str) -> bool:
    """What a person can act on, and no part of the file itself."""
    return 20 < len(message) < LONGEST_REASON and "needs more memory" not in message and message.isprintable()


def _is_a_picture(decoded) -> bool:
    pixels = decoded.pixels
    right = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    return right and decoded.width_px * decoded.height_px <= MAX_PIXELS


def _kind(message: str) -> str:
    """The sentence's beginning, without numbers."""
    return " ".join(message.translate(str.maketrans("", "", "0123456789")).split(" (")[0].split()[:8])


def _status(field: str) -> int:
    """Bytes, of this process, that Linux gives for a field such as VmSize."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024


def _fresh_peak() -> int:
    """Bytes that are used now; from here on VmHWM tells the most since now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
