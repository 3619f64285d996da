"""Requests that bring pictures or words and are answered at once. None changes anything, so all may be repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import httpx

from service.client.calls import Call, Part, model, params_of
from service.client.models.answers import Classified, Evaluation, Found, Preview, Suggested, Verified
from service.client.models.base import Answer, Items
from service.client.routes.catalogues import of

T = TypeVar("T", bound=Answer)
NamedBytes = tuple[str, bytes]
"""What answers call a picture, and its bytes."""

MANY_PICTURES_S = 600.0
"""What judging up to a thousand pictures may take on a slow machine."""


def classify(
    name: str, pictures: Sequence[NamedBytes], *, top: int = 5, max_error: float | None = None
) -> Call[list[Classified]]:
    """Answers for 1 to 64 pictures, in order."""
    return Call(
        method="POST",
        path=of(f"{name}:classify"),
        fields=_texts(top=top, max_error=max_error),
        parts=parts_of(pictures),
        read=_items(Classified),
        repeatable=True,
    )


def verify(
    name: str, first: NamedBytes, second: NamedBytes | None = None, *, label: str | None = None, rule: str = "otsu"
) -> Call[Verified]:
    """Are two pictures of one class, or is one of the class `label`?"""
    return Call(
        method="POST",
        path=of(f"{name}:verify"),
        fields=_texts(label=label, rule=rule),
        parts=parts_of([first] if second is None else [first, second]),
        read=model(Verified),
        repeatable=True,
    )


def search(
    name: str,
    picture: NamedBytes | None = None,
    *,
    text: str | None = None,
    top: int = 10,
    label: str | None = None,
    split: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Call[list[Found]]:
    """Examples nearest to a picture, or to a text."""
    asked = params_of(top=top, label=label, split=split, text=text)
    if picture is None:
        body = {**asked, "metadata": dict(metadata or {})}
        return Call(method="POST", path=of(f"{name}:search"), json=body, read=_items(Found), repeatable=True)
    fields = {key: str(value) for key, value in asked.items()}
    if metadata:
        fields["metadata"] = json.dumps(dict(metadata))
    return Call(
        method="POST",
        path=of(f"{name}:search"),
        fields=fields,
        parts=parts_of([picture], field="picture"),
        read=_items(Found),
        repeatable=True,
    )


def stored_evaluation(name: str, max_error: float | None = None, *, report: bool = False) -> Call[Evaluation]:
    """The figures of what serves; with `report` its page, too, as member `report`."""
    body = params_of(max_error=max_error) | ({"report": True} if report else {})
    return Call(method="POST", path=of(f"{name}:evaluate"), json=body, read=model(Evaluation), repeatable=True)


def evaluate(
    name: str,
    pictures: Sequence[tuple[str, str, bytes]],
    max_error: float | None = None,
    *,
    report: bool = False,
) -> Call[Evaluation]:
    """The figures on up to 1000 pictures, each given as (label, name, bytes)."""
    return Call(
        method="POST",
        path=of(f"{name}:evaluate"),
        fields=_texts(max_error=max_error, report="true" if report else None),
        repeated={"labels": [label for label, _, _ in pictures]},
        parts=parts_of([(path, data) for _, path, data in pictures]),
        read=model(Evaluation),
        repeatable=True,
        timeout_s=MANY_PICTURES_S,
    )


def preview(name: str, label: str, pictures: Sequence[NamedBytes]) -> Call[Preview]:
    """What a new class would be confused with, by 1 to 64 of its pictures."""
    return Call(
        method="POST",
        path=of(f"{name}:preview"),
        fields={"label": label},
        parts=parts_of(pictures),
        read=model(Preview),
        repeatable=True,
        timeout_s=MANY_PICTURES_S,
    )


def suggest_next(name: str, pictures: Sequence[NamedBytes], count: int = 20) -> Call[list[Suggested]]:
    """Those of up to 1000 pictures whose label would help most, then those that cannot be used."""
    return Call(
        method="POST",
        path=of(f"{name}:next"),
        fields=_texts(count=count),
        parts=parts_of(pictures),
        read=_items(Suggested),
        repeatable=True,
        timeout_s=MANY_PICTURES_S,
    )


def parts_of(pictures: Sequence[NamedBytes], field: str = "pictures") -> tuple[Part, ...]:
    """The pictures as files of a form."""
    return tuple(Part(field, name, data) for name, data in pictures)


def _texts(**values: str | float | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _items(kind: type[T]) -> Callable[[httpx.Response], list[T]]:
    page = Items[kind]  # type: ignore[valid-type]
    return lambda response: page.model_validate_json(response.content).items
