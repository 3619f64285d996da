"""Keyset cursors: a page ends with a cursor that names its last row, so rows that come or go shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from service.errors import InvalidInput

T = TypeVar("T")

MOST_ROWS = 500

Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows a page.")]
Cursor = Annotated[
    str | None, Query(max_length=2000, description="`next_cursor` of the page before; absent: the first page.")
]


class Page(BaseModel, Generic[T]):
    """A page of rows. `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = Field(default=None, description="Send it as `cursor` to get the next page.")


def cut(rows: Sequence[T], limit: int, key: Callable[[T], str | float]) -> tuple[Sequence[T], str | None]:
    """The page's rows and its cursor, of rows of which one more was asked for than the page holds."""
    page = rows[:limit]
    return page, encode_cursor(key(page[-1])) if len(rows) > limit else None


def encode_cursor(*keys: str | float) -> str:
    """An opaque cursor that holds the sort keys of a row."""
    return base64.urlsafe_b64encode(json.dumps(keys, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *kinds: type) -> tuple[object, ...] | None:
    """The sort keys of a cursor, None for none. Raises InvalidInput for what is none of ours."""
    if cursor is None:
        return None
    try:
        keys = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise _no_cursor(cursor) from error
    if not isinstance(keys, list) or len(keys) != len(kinds):
        raise _no_cursor(cursor)
    for key, kind in zip(keys, kinds, strict=True):
        if type(key) is not kind:
            raise _no_cursor(cursor)
    return tuple(keys)


def _no_cursor(cursor: str) -> InvalidInput:
    return InvalidInput(f"{cursor[:40]!r} is no cursor of this list: start from its first page", cursor=cursor[:40])
