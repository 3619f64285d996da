"""A process that does nothing but decode: `python -m service.adapters.decoder_process FD`.

Whatever a file does to the native decoders, it does here: to a process with a limit of memory and of processor time,
none of the settings, no file open but the socket to who started it, and no right to write to one. It ends when that
end is closed.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from service.adapters.decoder_wire import CPU_S, Payload, receive, send
from service.adapters.images import PillowDecoder
from service.errors import ImageRejected

MEMORY_MB = 1024
"""What decoding one picture may take, beside what the process has anyway (Linux)."""
MOST_BYTES = 1 << 30
"""Of a file; the limits of who hands files over are far lower."""
_FIRST_TO_GO = 500
"""Where the machine's memory is short the system ends this process before the one that started it."""
_OPEN_FILES = 32
"""Python opens a module's file now and then."""


def main(arguments: list[str] | None = None) -> None:
    """Answer until the other end is gone."""
    (descriptor,) = sys.argv[1:] if arguments is None else arguments
    channel = socket.socket(fileno=int(descriptor))
    decoder = PillowDecoder()
    decoder.thumbnail(_first_picture(), 8)  # what is imported at the first picture is imported before the limits
    _limit()
    with suppress(EOFError, OSError):
        send(channel, {"ready": os.getpid()})
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        while True:
            _answer(channel, decoder)


def _answer(channel: socket.socket, decoder: PillowDecoder) -> None:
    """One picture: pixels, or a sentence, whatever happened."""
    words, data = receive(channel, MOST_BYTES)
    _limit_time()
    try:
        told, payload = _done(decoder, words, bytes(data))
    except ImageRejected as error:
        told, payload = {"refused": error.message, **error.details}, b""
    except MemoryError:
        told, payload = {"refused": f"it needs more than {MEMORY_MB} MB of memory to decode: scale it down"}, b""
    except Exception as error:  # noqa: BLE001 -- a picture must not take its neighbours along, whatever it does to the decoder
        failed = f"decoding it failed ({type(error).__name__}: {error})"
        told, payload = {"refused": f"{failed}: open it in an image editor and save it again"}, b""
    send(channel, told, payload)


def _done(decoder: PillowDecoder, words: dict[str, Any], data: bytes) -> tuple[dict[str, Any], Payload]:
    box = tuple(words["box"]) if words.get("box") else None
    match words["call"]:
        case "decode":
            found = decoder.decode(data, words["edge_px"], box)
            told = {"size": [found.width_px, found.height_px], "hash": found.perceptual_hash}
            return told | {"shape": found.pixels.shape}, found.pixels.data.cast("B")
        case "mask":
            mask = decoder.mask(data)
            return {"size": [mask.width_px, mask.height_px], "box": mask.box}, b""
        case "thumbnail":
            return {}, decoder.thumbnail(data, words["edge_px"], box)
        case "size":
            return {"size": decoder.size(data)}, b""
        case other:
            raise ValueError(f"no call {other!r}")


def _first_picture() -> bytes:
    from io import BytesIO

    file = BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    return file.getvalue()


def _limit() -> None:
    """From here on this process can do little but compute."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    if not sys.platform.startswith("linux"):
        return
    Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_MB * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(
        resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, resource.getrlimit(resource.RLIMIT_CPU)[1])
    )


if __name__ == "__main__":
    main()
