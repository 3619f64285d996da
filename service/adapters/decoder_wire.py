"""What goes between a process and its decoder: a JSON object and bytes behind it, both with their lengths in front."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

_LENGTHS = struct.Struct("!IQ")
MOST_WORDS = 1 << 16
"""Bytes of the JSON object: a decoder that a picture has taken over must not fill the memory of who asks it."""

CPU_S = 60
"""Seconds of processor time that one picture may take."""

Payload = bytes | bytearray | memoryview


def send(channel: socket.socket, words: Mapping[str, Any], payload: Payload = b"") -> None:
    """Raises OSError when the other end is gone."""
    text = json.dumps(words).encode()
    channel.sendall(_LENGTHS.pack(len(text), len(payload)) + text)
    channel.sendall(payload)


def receive(channel: socket.socket, most: int) -> tuple[dict[str, Any], bytearray]:
    """The next object with its bytes.

    Args:
        channel: where it comes from.
        most: bytes of the payload that are taken.

    Raises:
        EOFError: the other end is gone.
        ValueError: what came is no message, or a longer one.
        OSError: the other end is gone, likewise.
    """
    words_length, length = _LENGTHS.unpack(_exactly(channel, _LENGTHS.size))
    if words_length > MOST_WORDS or length > most:
        raise ValueError(f"a message of {words_length} and {length} bytes; at most {MOST_WORDS} and {most} are taken")
    words = json.loads(_exactly(channel, words_length))
    if not isinstance(words, dict):
        raise ValueError("a message that is no object")  # noqa: TRY004 -- of the other end, not of an argument
    return words, _exactly(channel, length)


def _exactly(channel: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = channel.recv_into(view)
        if not count:
            raise EOFError("the other end is gone")
        view = view[count:]
    return data
