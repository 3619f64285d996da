"""Query parameters that a route does not know are refused, and so is one value too many of those that it knows.

A misspelt filter must not answer everything, nor one that is given twice answer by the last.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.api.wrong_input import MOST_TOLD
from service.errors import LONGEST_QUOTED


def refuse_wrong_query(request: Request) -> None:
    """Raises RequestValidationError that names the parameters, and where one is unknown those that the route knows."""
    if not request.query_params:
        return
    route = request.scope["route"]
    known = known_query(route)
    given = Counter(name for name, _ in request.query_params.multi_items())
    unknown = [name for name in given if name not in known][:MOST_TOLD]
    told = dict.fromkeys(unknown, f"is no parameter of {request.method} {route.path_format}")
    if unknown:  # told once: a route may know many
        told[unknown[-1]] += f"; there are: {', '.join(sorted(known)) or 'none'}"
    told |= {
        name: f"takes one value and is given {count} times"
        for name, count in given.items()
        if count > 1 and not known.get(name, True)
    }
    if told:
        raise RequestValidationError(
            [
                {"type": "wrong_query", "loc": ("query", name[:LONGEST_QUOTED]), "msg": message}
                for name, message in told.items()
            ]
        )


def known_query(route: APIRoute) -> Mapping[str, bool]:
    """The query parameters that a route takes, itself and by what it depends on: whether it takes several values."""
    return dict(_known(route.dependant))


def _known(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from ((one.alias or name, _is_list(one.annotation)) for name, one in kind.model_fields.items())
        else:
            yield field.alias, _is_list(kind)
    for inner in dependant.dependencies:
        yield from _known(inner)


def _is_list(kind: Any) -> bool:  # noqa: ANN401 -- any annotation
    return any(get_origin(one) is list for one in (kind, *get_args(kind)))
