"""JSON objects that name a thing once: of two values one would be passed over, and nobody would know which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import quoted


class GivenTwice(ValueError):
    """An object has a name twice; the message says which."""


def given_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs, as `object_pairs_hook` of `json.loads`. Raises GivenTwice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise GivenTwice(f"{quoted(name)} is given twice")
            seen.add(name)
    return found
