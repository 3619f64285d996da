"""Conditional answers: bytes that the asker has already are not sent again (RFC 9110, section 13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Header

IfNoneMatch = Annotated[
    str | None, Header(max_length=4000, description="ETags of what you have; answered with 304 where one fits.")
]


def held(if_none_match: str | None) -> Callable[[str], bool]:
    """Says whether the header names a tag (weakly compared, as the standard wants it)."""
    sent = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
    return lambda tag: "*" in sent or f'"{tag}"' in sent
