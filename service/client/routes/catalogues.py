"""Requests about catalogues, their labels, examples and archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from service.client.calls import Call, Part, delete, get, model, path_of
from service.client.models.base import Page
from service.client.models.catalogues import (
    Catalogue,
    Decided,
    Deleted,
    Dropped,
    Example,
    Hygiene,
    Label,
    Map,
    Prompts,
    Relabelled,
    Renamed,
)

ARCHIVE_S = 600.0
"""An import checks all of an archive before it answers."""
SURVEY_S = 600.0
"""The first survey looks at every example."""


def of(name: str, *more: str) -> str:
    """A path below a catalogue; an action is written with its colon: `of(name + ":classify")`."""
    return path_of("v1", "catalogues", name, *more)


def create_catalogue(name: str, encoder: str | None = None) -> Call[Catalogue]:
    """An empty catalogue; without an encoder on the server's."""
    body = {"name": name, "encoder": encoder}
    return Call(method="POST", path="/v1/catalogues", json=body, read=model(Catalogue))


def list_catalogues(cursor: str | None = None, limit: int = 100) -> Call[Page[Catalogue]]:
    """A page of catalogues, by name."""
    return get("/v1/catalogues", model(Page[Catalogue]), cursor=cursor, limit=limit)


def show_catalogue(name: str) -> Call[Catalogue]:
    """One catalogue, and what it holds."""
    return get(of(name), model(Catalogue))


def delete_catalogue(name: str) -> Call[None]:
    """A catalogue with all that is in it, for good."""
    return delete(of(name))


def list_examples(
    name: str,
    *,
    label: str | None = None,
    split: str | None = None,
    state: str | None = None,
    references: bool = False,
    cursor: str | None = None,
    limit: int = 100,
) -> Call[Page[Example]]:
    """A page of examples, by id; with `references` those of the selection that serves only."""
    return get(
        of(name, "examples"),
        model(Page[Example]),
        label=label,
        split=split,
        state=state,
        reference="true" if references else None,
        cursor=cursor,
        limit=limit,
    )


def show_example(name: str, example: str) -> Call[Example]:
    """One example."""
    return get(of(name, "examples", example), model(Example))


def relabel_example(name: str, example: str, label: str) -> Call[Relabelled]:
    """An example under its label, which settles a conflict."""
    return Call(
        method="PATCH",
        path=of(name, "examples", example),
        json={"label": label},
        read=model(Relabelled),
        repeatable=True,
    )


def drop_example(name: str, example: str) -> Call[None]:
    """An example less."""
    return delete(of(name, "examples", example))


def drop_examples(name: str, examples: Sequence[str], *, remember: bool = False) -> Call[list[str]]:
    """Several examples less: all, or none where one is unknown; their ids. With `remember` they stay out."""

    def dropped(response: httpx.Response) -> list[str]:
        return list(response.json()["dropped"])

    body = {"ids": list(examples), "remember": remember}
    return Call(method="POST", path=of(name, "examples:delete"), json=body, read=dropped)


def list_dropped(name: str, cursor: str | None = None, limit: int = 100) -> Call[Page[Dropped]]:
    """A page of the pictures that are kept out, by id."""
    return get(of(name, "dropped"), model(Page[Dropped]), cursor=cursor, limit=limit)


def example_image(name: str, example: str) -> Call[bytes]:
    """The picture as it was handed over."""
    return get(of(name, "examples", example, "image"), _bytes)


def example_thumbnail(name: str, example: str, edge_px: int = 160) -> Call[bytes]:
    """A small JPEG of it."""
    return get(of(name, "examples", example, "thumbnail"), _bytes, edge_px=edge_px)


def show_map(name: str, limit: int | None = None) -> Call[Map]:
    """Examples in two dimensions."""
    return get(of(name, "map"), model(Map), limit=limit)


def list_labels(name: str, cursor: str | None = None, limit: int = 100) -> Call[Page[Label]]:
    """A page of classes, by label."""
    return get(of(name, "labels"), model(Page[Label]), cursor=cursor, limit=limit)


def rename_label(name: str, label: str, to: str) -> Call[Renamed]:
    """Another name for a class; that of a class which is there merges the two."""
    path = of(name, "labels", label)
    return Call(method="PATCH", path=path, json={"label": to}, read=model(Renamed), repeatable=True)


def delete_label(name: str, label: str) -> Call[Deleted]:
    """A class less, with all its examples."""
    return Call(method="DELETE", path=of(name, "labels", label), read=model(Deleted))


def list_prompts(name: str, cursor: str | None = None, limit: int = 100) -> Call[Page[Prompts]]:
    """A page of the words that classes start from, by label."""
    return get(of(name, "prompts"), model(Page[Prompts]), cursor=cursor, limit=limit)


def show_prompts(name: str, label: str) -> Call[Prompts]:
    """The words of a class."""
    return get(of(name, "prompts", label), model(Prompts))


def put_prompts(name: str, label: str, templates: Sequence[str] = ()) -> Call[Prompts]:
    """A class that starts from words, in which {label} stands for the label; without any, a few general ones."""
    body = {"templates": list(templates)}
    path = of(name, "prompts", label)
    return Call(method="PUT", path=path, json=body, read=model(Prompts), repeatable=True)


def delete_prompts(name: str, label: str) -> Call[None]:
    """A class without words; its pictures stay."""
    return delete(of(name, "prompts", label))


def export_archive(name: str, *, images: bool = True) -> Call[bytes]:
    """The catalogue as a zip; `download` streams it into a file."""
    return get(of(name, "archive"), _bytes, images=images)


def import_archive(name: str, archive: Path) -> Call[Catalogue]:
    """A new catalogue from an archive."""
    return Call(
        method="POST",
        path="/v1/catalogues:import",
        fields={"name": name},
        parts=(Part("archive", archive.name, archive, "application/zip"),),
        read=model(Catalogue),
        timeout_s=ARCHIVE_S,
    )


def hygiene(name: str, *, kind: str | None = None, limit: int = 500, renew: bool = False) -> Call[Hygiene]:
    """What may be wrong, each with its evidence; `renew` looks anew where examples changed."""
    call = get(of(name, "hygiene"), model(Hygiene), kind=kind, limit=limit, renew=renew)
    return replace(call, timeout_s=SURVEY_S)


def decide(name: str, example: str, decision: str, label: str | None = None) -> Call[Decided]:
    """Keep an example as it is, relabel it, or drop it; to keep a dropped one takes that back."""
    body = {"example": example, "decision": decision, "label": label}
    path = of(name, "hygiene", "decisions")
    return Call(method="POST", path=path, json=body, read=model(Decided))


def _bytes(response: httpx.Response) -> bytes:
    return response.content
