"""Query parameters that a route does not know are refused: a misspelt filter must not answer everything."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.api.wrong_input import MOST_TOLD
from service.errors import LONGEST_QUOTED


def refuse_unknown_query(request: Request) -> None:
    """Raises RequestValidationError that names the parameter and those that the request's route knows."""
    if not request.query_params:
        return
    route = request.scope["route"]
    known = known_query(route)
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        told = f"is no parameter of {request.method} {route.path_format}; there are: {there}"
        raise RequestValidationError(
            [
                {"type": "unknown_query", "loc": ("query", name[:LONGEST_QUOTED]), "msg": told}
                for name in unknown[:MOST_TOLD]
            ]
        )


def known_query(route: APIRoute) -> frozenset[str]:
    """Names of the query parameters that a route takes, itself and by what it depends on."""
    return frozenset(_names(route.dependant))


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from (one.alias or name for name, one in kind.model_fields.items())
        else:
            yield field.alias
    for inner in dependant.dependencies:
        yield from _names(inner)
