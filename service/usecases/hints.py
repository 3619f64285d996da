"""What a message says to do next: as a command and as a request, for whoever reads it may be at either."""

from __future__ import annotations

_CATALOGUES = "POST /v1/catalogues"


def to_keep(catalogue: str, example_id: str) -> str:
    """How a dropped picture is taken back."""
    return _either(f"keep {catalogue} {example_id}", f"{_CATALOGUES}/{catalogue}/hygiene/decisions, decision keep")


def _either(command: str, request: str) -> str:
    return f"`holotype {command}` (over HTTP: {request})"
