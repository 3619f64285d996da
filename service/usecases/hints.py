"""What a message says to do next: as a command and as a request, for whoever reads it may be at either.

Over HTTP too a message is read at both: `holotype` with HOLOTYPE_URL shows the server's, and what a worker says of a
picture is kept and read later.
"""

from __future__ import annotations


def to_create(name: str) -> str:
    """How a catalogue is made."""
    return _either(f"catalogue create {name}", "POST /v1/catalogues")


def to_list_labels(catalogue: str) -> str:
    """How a catalogue's classes are listed."""
    return _either(f"catalogue show {catalogue}", f"GET /v1/catalogues/{catalogue}/labels")


def to_optimise(catalogue: str) -> str:
    """How references are chosen."""
    return _either(f"optimise {catalogue}", f"POST /v1/catalogues/{catalogue}:optimise")


def to_evaluate(catalogue: str) -> str:
    """How answers are judged on pictures that the catalogue does not hold."""
    return _either(f"evaluate {catalogue} FOLDER", f"POST /v1/catalogues/{catalogue}:evaluate")


def to_keep(catalogue: str, example_id: str) -> str:
    """How a dropped picture is taken back."""
    return _either(
        f"keep {catalogue} {example_id}", f"POST /v1/catalogues/{catalogue}/hygiene/decisions, decision keep"
    )


def _either(command: str, request: str) -> str:
    return f"`holotype {command}` (over HTTP: {request})"
