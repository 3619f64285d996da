"""Multipart uploads, streamed to files: neither the request nor a large part of it is ever in memory.

Starlette's own form parser keeps every file open (10 000 would be too many) and up to a megabyte of each in memory.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

from fastapi import Depends, HTTPException, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service.api.access import SettingsOf, Writer
from service.settings import Settings
from service.usecases.files import MAX_FILE_BYTES
from service.usecases.uploads import MOST_PICTURES

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MB = 1024 * 1024
MAX_NAME = 1000
"""Characters of a file's name, its folders included."""
MAX_TEXT_BYTES = 16 * MB
"""Of all text fields together, and of a JSON body."""
ANY_SIZE = 1 << 50
"""`max_body_size` of routes that count by themselves, against HOLOTYPE_UPLOAD_MB."""
JSON_TYPE = "application/json"
FORM_TYPE = "multipart/form-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file part. Of one larger than `MAX_FILE_BYTES` only the beginning is in `path`; `size_bytes` is the whole."""

    name: str
    path: Path
    size_bytes: int
    sha256: str


@dataclass(slots=True, kw_only=True)
class Sent:
    """What a request brought: a JSON body, or the fields and files of a form by name, in the order they came."""

    body: bytes | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[SentFile]] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hex digest of all that was sent, without the form's boundary, which is new each time."""
        if self.body is not None:
            return hashlib.sha256(self.body).hexdigest()
        files = {name: [[one.name, one.sha256] for one in files] for name, files in self.files.items()}
        return hashlib.sha256(json.dumps([self.fields, files], sort_keys=True).encode()).hexdigest()


async def sent(request: Request, settings: SettingsOf, _who: Writer) -> AsyncIterator[Sent]:
    """Read the body; its files are deleted after the answer.

    Raises HTTPException: 400 for a malformed body, 413 for one that is too large, 415 for another type.
    """
    kind = request.headers.get("content-type", "")
    mime = kind.partition(";")[0].strip().lower()
    if mime == JSON_TYPE:
        yield Sent(body=await _body(request))
        return
    if mime != FORM_TYPE:
        raise HTTPException(415, f"the body is {mime or 'of no type'}; {FORM_TYPE} or {JSON_TYPE} is needed")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holotype-upload-"))
        yield await _form(request, settings, _Parts(Path(folder), stack), kind)


SentParts = Annotated[Sent, Depends(sent)]
"""What a request brought. After everything that may refuse the request without reading it."""


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > MAX_TEXT_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_TEXT_BYTES // MB} MB: send fewer items a request")
    return bytes(found)


async def _form(request: Request, settings: Settings, parts: _Parts, content_type: str) -> Sent:
    most = settings.upload_mb * MB
    _, options = parse_options_header(content_type)
    try:
        _check_size(int(request.headers.get("content-length", "0")), settings)
        parser = MultipartParser(options.get(b"boundary", b""), cast("MultipartCallbacks", parts.callbacks()))
        received = 0
        async for chunk in request.stream():
            received += len(chunk)
            if received > most:
                _check_size(received, settings)
            await run_in_threadpool(parser.write, chunk)
        await run_in_threadpool(parser.finalize)
    except ClientDisconnect:
        raise HTTPException(400, "the upload was broken off before its end") from None
    except (FormParserError, ValueError) as error:
        raise HTTPException(400, f"the form cannot be read: {error}") from error
    if not parts.ended:
        raise HTTPException(400, "the form ends before its last boundary: it was cut off, or has another boundary")
    return parts.sent


def _check_size(size: int, settings: Settings) -> None:
    if size > settings.upload_mb * MB:
        raise HTTPException(
            413,
            f"the upload has more than {settings.upload_mb} MB (HOLOTYPE_UPLOAD_MB): send the pictures in several "
            "requests, to an ingest opened with open=true",
        )


class _Parts:
    """Receives the parser's events; called from one thread at a time."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.sent = Sent()
        self.ended = False
        self._folder = folder
        self._files = self._fields = self._text_bytes = 0
        self._key, self._value, self._disposition = b"", b"", b""
        self._field, self._name = "", ""
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self._size, self._hash = 0, hashlib.sha256()
        stack.callback(self._close)

    def callbacks(self) -> dict[str, Any]:
        """By the parser's names."""
        names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data")
        return {f"on_{name}": getattr(self, f"_{name}") for name in (*names, "part_end", "end")}

    def _part_begin(self) -> None:
        self._disposition = b""
        self._text = bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._key.lower() == b"content-disposition":
            self._disposition = self._value
        self._key, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise HTTPException(400, "a part of the form has no name")
        self._field = _decoded(options[b"name"])
        if b"filename" in options:
            self._begin_file(_decoded(options[b"filename"]))
        else:
            self._fields += 1
            self._check_count(self._fields, "text fields")

    def _begin_file(self, name: str) -> None:
        if len(name) > MAX_NAME:
            raise HTTPException(400, f"the file name {name[:40]!r}... has {len(name)} characters, at most {MAX_NAME}")
        self._files += 1
        self._check_count(self._files, "files")
        self._name, self._size, self._hash = name, 0, hashlib.sha256()
        self._file = (self._folder / f"{self._files}").open("wb")

    def _check_count(self, count: int, what: str) -> None:
        if count > MOST_PICTURES + 100:  # beside the pictures' own, those of the form
            raise HTTPException(
                413, f"the form has more than {MOST_PICTURES} {what}: send the pictures in several requests"
            )

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        part = data[start:end]
        if self._file is None:
            self._text_bytes += len(part)
            if self._text_bytes > MAX_TEXT_BYTES:
                raise HTTPException(413, f"the form's text fields have more than {MAX_TEXT_BYTES // MB} MB")
            self._text += part
            return
        room = MAX_FILE_BYTES - self._size
        self._size += len(part)
        self._hash.update(part)
        if room > 0:
            self._file.write(part[:room])

    def _part_end(self) -> None:
        if self._file is None:
            self.sent.fields.setdefault(self._field, []).append(_decoded(bytes(self._text)))
            return
        self._file.close()
        self._file = None
        if not self._name and not self._size:  # what a browser sends where no file was chosen
            return
        found = SentFile(
            name=self._name,
            path=self._folder / f"{self._files}",
            size_bytes=self._size,
            sha256=self._hash.hexdigest(),
        )
        self.sent.files.setdefault(self._field, []).append(found)

    def _end(self) -> None:
        self.ended = True

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
