"""Which ids go with what is being done: every line of the log names them, without anybody handing them on.

What is bound is a mapping by reference, so an id that becomes known later (the tenant, once the key was looked up, in
another thread) is told from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

NAMES = ("request_id", "tenant", "key_id", "task", "job", "selection")
"""In the order in which they are told. Nothing else of a mapping is."""

NOTE = {"note": True}
"""`extra` of a line that is for people as it stands, without level and ids, unless all is to be known (DEBUG)."""

_bound: ContextVar[tuple[Mapping[str, Any], ...]] = ContextVar("holotype_ids", default=())


@contextmanager
def log_ids(ids: Mapping[str, Any]) -> Iterator[None]:
    """Tell these ids, as far as they are among `NAMES`, with every line of the log for the length of the block."""
    token = _bound.set((*_bound.get(), ids))
    try:
        yield
    finally:
        _bound.reset(token)


def current_ids() -> dict[str, str]:
    """What is bound now; of one name the innermost."""
    merged = {name: mapping[name] for mapping in _bound.get() for name in NAMES if mapping.get(name) is not None}
    return {name: str(merged[name]) for name in NAMES if name in merged}
