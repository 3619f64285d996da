"""Reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class ReportWriter(Protocol):
    """Turns the data of an evaluation into something that a person reads."""

    @property
    def policy(self) -> str:
        """The Content-Security-Policy that a server sends with the page: what is in it works, nothing else does."""
        ...

    def render(self, data: Mapping[str, Any]) -> str:
        """The page as text. Safe to call from several threads."""
        ...

    def check(self, path: Path) -> None:
        """Raises InvalidInput when `path` cannot be written: to be asked before the work that the report is about."""
        ...

    def write(self, data: Mapping[str, Any], path: Path) -> None:
        """Write one self-contained file, whole or not at all. Raises InvalidInput when `path` cannot be written."""
        ...
