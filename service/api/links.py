"""Where things are, as answers tell it: paths without a host, which only a proxy in front may know."""

from __future__ import annotations

from urllib.parse import quote


def catalogue_link(catalogue: str) -> str:
    """A catalogue."""
    return f"/v1/catalogues/{quote(catalogue, safe='')}"


def example_link(catalogue: str, example_id: str) -> str:
    """An example."""
    return f"{catalogue_link(catalogue)}/examples/{quote(example_id, safe='')}"


def image_link(catalogue: str, example_id: str) -> str:
    """An example's picture as it was handed over."""
    return f"{example_link(catalogue, example_id)}/image"


def thumbnail_link(catalogue: str, example_id: str) -> str:
    """An example's thumbnail; takes `edge_px`."""
    return f"{example_link(catalogue, example_id)}/thumbnail"


def selection_link(catalogue: str, selection_id: str) -> str:
    """A selection."""
    return f"{catalogue_link(catalogue)}/selections/{quote(selection_id, safe='')}"
