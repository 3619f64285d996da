"""Where an archive goes while it is written: memory, from which it is taken away piece by piece."""

from __future__ import annotations

import io
from typing import Any


class Sink(io.RawIOBase):
    """Collects what the zip writer writes, until it is taken. It cannot be sought: sizes follow their members."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.length = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 -- any buffer
        """Take all of it."""
        piece = bytes(data)
        self._pieces.append(piece)
        self.length += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces, self.length = [], 0
        return taken
