"""Server-sent events out of bytes, as they come: no I/O here."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is the last one that the stream named, to go on from."""

    kind: str
    data: str
    id: str | None


class EventReader:
    """Give it bytes, get events. Comments, which keep a connection alive, are passed over."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._kind = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Events that these bytes complete."""
        self._rest += self._decoder.decode(chunk)
        while (cut := self._line_end()) is not None:
            line, self._rest = self._rest[: cut[0]], self._rest[cut[1] :]
            if (event := self._take(line)) is not None:
                yield event

    def _line_end(self) -> tuple[int, int] | None:
        """Where the first line ends and the next begins; a CR at the very end may be half of a CR LF."""
        ends = [place for place in (self._rest.find("\n"), self._rest.find("\r")) if place >= 0]
        if not ends:
            return None
        end = min(ends)
        if self._rest[end] == "\n":
            return end, end + 1
        if end + 1 == len(self._rest):
            return None
        return end, end + (2 if self._rest[end + 1] == "\n" else 1)

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> Event | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return Event(kind, "\n".join(data), self._id) if data else None
