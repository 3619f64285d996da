"""The catalogue page: `/`, and under `/web` the files that it is made of. Anybody may read them; they hold no data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from service.api.etags import IfNoneMatch, held

router = APIRouter(include_in_schema=False)

PAGE = "index.html"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Of the files that are served: others lie there for nobody."""

CACHING = "no-cache"
"""A browser keeps the files and asks each time whether they are still these: a new version shows at once, whole."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the page as it is sent."""

    body: bytes
    media_type: str
    tag: str


@cache
def static_files() -> dict[str, StaticFile]:
    """All files of the page by their path under `/web`, read once: no request ever names a path on the disk."""
    return {
        name: StaticFile(body=body, media_type=MEDIA_TYPES[suffix], tag=hashlib.sha256(body).hexdigest()[:32])
        for name, suffix, body in _read(files("service") / "web", "")
    }


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        suffix = entry.name[entry.name.rfind(".") :]
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif suffix in MEDIA_TYPES:
            yield f"{prefix}{entry.name}", suffix, entry.read_bytes()


@router.api_route("/", methods=["GET", "HEAD"])
async def web_page(if_none_match: IfNoneMatch = None) -> Response:
    """The page."""
    return _answer(PAGE, if_none_match)


@router.api_route("/web/{path:path}", methods=["GET", "HEAD"])
async def web_file(path: str, if_none_match: IfNoneMatch = None) -> Response:
    """A file of the page."""
    return _answer(path, if_none_match)


def _answer(path: str, if_none_match: str | None) -> Response:
    found = static_files().get(path)
    if found is None:
        raise HTTPException(404)
    headers = {"ETag": f'"{found.tag}"', "Cache-Control": CACHING}
    if held(if_none_match)(found.tag):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
