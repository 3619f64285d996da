"""`ports.ImageDecoder` by processes of their own (`decoder_process`): a file that ends its decoder ends nothing else.

A decoder costs a fifth of a second once and a copy of the pixels a picture. They are shared by all of this process,
begun when first needed or before (`get_ready`), and end with it, because their socket does.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from service.adapters.decoder_wire import CPU_S, receive, send
from service.adapters.image_refusals import MAX_PIXELS
from service.core.crop import Box
from service.errors import ImageRejected, Unavailable
from service.ports import DecodedImage, Mask

DECODER = "service.adapters.decoder_process"
MOST_ANSWERED = 512 * 1024 * 1024
"""Bytes of an answer: 40 megapixels have 120 MB."""
LONGEST_REASON = 1000
TOO_LONG = signal.SIGXCPU.name
AGAIN = "open it in an image editor and save it again"
START_S = 60.0
END_S = 5.0
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(32 << 20)}
"""glibc keeps the blocks of small pictures, which it would fetch from the kernel for each: 300 pages and a quarter of
the processor's time for one of 350 px. Large blocks are given back."""
_PASSED_ON = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "TZ")
"""Of the environment: no setting, so no password and no key."""


class Ended(Exception):
    """A decoder process is no more; the message says how it ended."""


class GuardedDecoder:
    """Safe to call from several threads; as many pictures are decoded at a time as there may be processes."""

    def __init__(self, processes: int, decoder: str = DECODER) -> None:
        """`decoder` is the module that a process runs."""
        self._free = threading.BoundedSemaphore(processes)
        self._at_first = min(processes, os.cpu_count() or 1)
        self._decoder = decoder

    def get_ready(self) -> None:
        """Begin processes in the background, a processor each, so that the first pictures do not wait for them."""
        threading.Thread(target=self._begin, name="decoders", daemon=True).start()

    def decode(self, data: bytes, shortest_edge_px: int, box: Box | None = None) -> DecodedImage:
        """As `PillowDecoder.decode`. Raises ImageRejected; Unavailable when no process can be started."""
        told, pixels = self._asked({"call": "decode", "edge_px": shortest_edge_px, "box": box}, data)
        height, width, _ = told["shape"]
        return DecodedImage(
            pixels=np.frombuffer(pixels, np.uint8).reshape(height, width, 3),  # no copy more, and it can be written to
            width_px=int(told["size"][0]),
            height_px=int(told["size"][1]),
            perceptual_hash=told["hash"],
        )

    def mask(self, data: bytes) -> Mask:
        """As `PillowDecoder.mask`; raises as `decode`."""
        told, _ = self._asked({"call": "mask"}, data)
        left, top, width, height = map(int, told["box"])
        return Mask(int(told["size"][0]), int(told["size"][1]), (left, top, width, height))

    def thumbnail(self, data: bytes, edge_px: int, box: Box | None = None) -> bytes:
        """As `PillowDecoder.thumbnail`; raises as `decode`."""
        _, small = self._asked({"call": "thumbnail", "edge_px": edge_px, "box": box}, data)
        return bytes(small)

    def size(self, data: bytes) -> tuple[int, int]:
        """As `PillowDecoder.size`; raises as `decode`."""
        told, _ = self._asked({"call": "size"}, data)
        return int(told["size"][0]), int(told["size"][1])

    def _begin(self) -> None:
        with suppress(Unavailable):  # whoever has a picture decoded is told
            for number in range(self._at_first):
                with self._free:
                    if _idle_count(self._decoder) > number:
                        continue
                    with _process(self._decoder, fresh=True):
                        pass

    def _asked(self, words: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytearray]:
        """The answer. Somebody else may have ended the process, so the picture is tried once more in a new one."""
        with self._free:
            for fresh in (False, True):
                try:
                    with _process(self._decoder, fresh=fresh) as process:
                        told, payload = process.ask(words, data)
                except Ended as ended:
                    how = str(ended)
                    if TOO_LONG in how:
                        raise ImageRejected(
                            f"it takes more than {CPU_S} s of processor time to decode: {AGAIN}"
                        ) from ended
                    continue
                if "refused" in told:
                    raise ImageRejected(_sentence(told["refused"]), **_size(told))
                return told, payload
        raise ImageRejected(f"it ended the decoder twice ({how}): {AGAIN}")


class _Process:
    """A running decoder. One thread at a time."""

    def __init__(self, decoder: str) -> None:
        """Raises Unavailable when it does not start."""
        self.decoder = decoder
        self.channel, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-s", "-m", decoder, str(theirs.fileno())],
                    env=_environment(),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    process_group=0,  # Ctrl-C is for who started it
                )
        except OSError as error:
            self.channel.close()
            raise Unavailable(f"no process for decoding can be started: {error}") from error
        try:
            self.channel.settimeout(START_S)
            receive(self.channel, 0)
            self.channel.settimeout(None)
        except (EOFError, OSError, ValueError) as error:
            raise Unavailable(f"the process for decoding does not start: it {self.end()}") from error
        except BaseException:
            self.end()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, words: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytearray]:
        """Raises Ended when the process ended, or gave what is no answer, which ends it."""
        try:
            send(self.channel, words, data)
            return _checked(words, *receive(self.channel, MOST_ANSWERED))
        except (EOFError, OSError) as error:
            raise Ended(self.end()) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Ended(f"gave no answer: {error}") from error

    def end(self) -> str:
        """How it ended; where it does not by itself, it is killed."""
        self.channel.close()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            code = self.kill()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def leave(self) -> None:
        """To whoever started it, in a fork of that: it is no child of this process, which has nothing to wait for."""
        self.channel.close()
        self._process.returncode = 0

    def kill(self) -> int:
        """Its exit code."""
        self.channel.close()
        self._process.kill()
        return self._process.wait()


_idle: list[_Process] = []
_lock = threading.Lock()


@contextmanager
def _process(decoder: str, *, fresh: bool) -> Iterator[_Process]:
    """One that nobody else has. After any error, also one that a thread is stopped with, it is not used again."""
    process = (None if fresh else _taken(decoder)) or _Process(decoder)
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    with _lock:
        _idle.append(process)


def _idle_count(decoder: str) -> int:
    with _lock:
        return sum(process.decoder == decoder and process.alive for process in _idle)


def _taken(decoder: str) -> _Process | None:
    """An idle one that lives; those that do not are let go of."""
    with _lock:
        for process in _idle[::-1]:
            if process.decoder == decoder:
                _idle.remove(process)
                if process.alive:
                    return process
                process.channel.close()
    return None


def _forget() -> None:
    """A fork must not hold the sockets open by which decoders see that their process has ended."""
    global _lock
    _lock = threading.Lock()
    for process in _idle:
        process.leave()
    _idle.clear()


def _end_idle() -> None:
    """Those that nobody uses, at the end of this process: they would end by themselves, unwaited for."""
    with _lock:
        while _idle:
            _idle.pop().kill()


os.register_at_fork(after_in_child=_forget)
atexit.register(_end_idle)


def _environment() -> dict[str, str]:
    """Where Python finds its modules, and how to compute; no setting, so no password and no key."""
    passed_on = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return passed_on | threads | _MEMORY | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _checked(words: Mapping[str, Any], told: dict[str, Any], payload: bytearray) -> tuple[dict[str, Any], bytearray]:
    """What a decoder may answer. Raises ValueError, KeyError or TypeError for what a picture made it say instead."""
    if "refused" in told:
        return told, payload
    if words["call"] != "thumbnail":
        width, height = told["size"]
        if min(int(width), int(height)) < 1 or int(width) * int(height) > MAX_PIXELS:
            raise ValueError("a size that no picture may have")
    if words["call"] == "decode":
        height, width, channels = told["shape"]
        if channels != 3 or len(payload) != int(height) * int(width) * 3 or not payload:
            raise ValueError("pixels that are not as many as it says")
        told["hash"] = f"{int(told['hash'], 16):016x}"
    return told, payload


def _sentence(text: object) -> str:
    """A refusal that can be shown and stored."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:LONGEST_REASON])


def _size(told: Mapping[str, Any]) -> dict[str, int]:
    return {name: told[name] for name in ("width_px", "height_px") if isinstance(told.get(name), int)}
