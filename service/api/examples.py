"""Examples in the description of the API: one for each JSON body that is sent or answered, and for each problem.

They are put together from the examples of the models' fields; names that many models share have theirs here. A field
with none is an error, which the test of the description finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JSON = "application/json"
SCHEMAS = "#/components/schemas/"

_ID = "5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d"
_SELECTION = "0f8d6a52-6d5e-5c1c-8f0e-2b9a3c4d5e6f"
_CATALOGUE = "/v1/catalogues/fruit"
_EXAMPLE = f"{_CATALOGUE}/examples/{_ID}"
_CHOSEN = f"{_CATALOGUE}/selections/{_SELECTION}"
_JOB_ID = "5d1c2c0e-8f55-4d6e-9f2b-0d4b1c9a7e10"
_JOB = f"/v1/jobs/{_JOB_ID}"

SHARED: Mapping[str, tuple[Any, ...]] = {
    "accepted": (2,),
    "active_selection": (_SELECTION,),
    "all_accuracy": (0.94,),
    "answers": (12,),
    "both": (3,),
    "confidence": (0.97,),
    "conflict_labels": ([],),
    "conflicts": (0,),
    "confusion": (f"{_CHOSEN}/confusion",),
    "content_hash": ("e11d028f0920aad5e9f533d74208b95bfc02c6f32518c7a0679250ac9d7cf766",),
    "count": (1,),
    "created_at": (1767225600.0,),
    "delivered_at": (None,),
    "encoder_fingerprint": ("ff5b134cad042d40",),
    "error": (None,),
    "eta_s": (12.5,),
    "events": (f"{_JOB}/events",),
    "example": (_EXAMPLE,),
    "examples": (480, [_EXAMPLE]),
    "figures": ({"accuracy": 0.95, "all_accuracy": 0.94},),
    "finished_at": (None,),
    "id": (_ID,),
    "images": (60,),
    "images_per_s": (24.1,),
    "items": (f"{_JOB}/items",),
    "job": (_JOB_ID,),
    "label": ("apple",),
    "labels": (["apple", "pear"],),
    "lost": (1,),
    "macro_f1": (0.94,),
    "made_at": (1767225600.0,),
    "margin": (0.31,),
    "measured_on": ("holdout",),
    "members": (f"{_CHOSEN}/members",),
    "next_at": (None,),
    "next_cursor": ("WzEwMF0",),
    "note": (None,),
    "notes": ([],),
    "panel": ({"all": {"accuracy": 0.94, "references": 48.0}},),
    "payload": ({"id": _JOB_ID, "state": "done"},),
    "per_class": ({"apple": {"precision": 0.9, "recall": 1.0, "f1": 0.95, "images": 10}},),
    "provisional": (0,),
    "reason": (None,),
    "recipe": ({"head": "within", "strategy": "medoids"},),
    "recognised": (9,),
    "references": (18,),
    "rejected": (None,),
    "report": (f"{_CHOSEN}/report",),
    "result": (None,),
    "results": (None,),
    "retired_at": (None,),
    "seed": (0,),
    "selection": (_SELECTION,),
    "settled_labels": ([],),
    "share": (0.08,),
    "skipped": ({"unknown_label": 0, "already_stored": 0, "broken": 0},),
    "source": ("apple/1.jpg",),
    "split_hash": ("0f1e2d3c4b5a6978",),
    "started_at": (1767225601.5,),
    "state": ("running", "active", "delivered"),
    "support": (48,),
    "taken": (1,),
    "taken_right": (1,),
    "thresholds": ({"apple": 0.12},),
    "thumbnail": (f"{_EXAMPLE}/thumbnail",),
    "thumbnails": ([f"{_EXAMPLE}/thumbnail"],),
    "top5": (1.0,),
    "total": (480,),
    "unreadable": ([],),
    "weighted_f1": (0.94,),
    "why": ("18 of 48 pictures answer now. In the test 18 of 48 did about as well as all of them: +0.4 points",),
}
"""By name of a field; of several the first that the field takes, by its type and, where it has one, its list."""

PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("MalformedRequest", "the body is no JSON"),
    401: ("NotAuthenticated", "no key was sent: send one as `Authorization: Bearer holo_...`"),
    403: ("NotPermitted", "this needs a key with scope write; yours has read"),
    404: ("CatalogueNotFound", "there is no catalogue 'fruit'"),
    408: ("TooSlow", "the body came too slowly"),
    409: ("Busy", "catalogue 'fruit' is being optimised already: wait for it, or cancel it"),
    413: ("TooLarge", "the body is too large"),
    415: ("UnsupportedMediaType", "pictures are sent as multipart/form-data"),
    422: ("InvalidRequest", "body.name should be a valid string"),
    429: ("QuotaExceeded", "tenant 'acme' may ask 60 times a minute: wait 12 s"),
    500: ("InternalError", "something went wrong here that should not; the log tells it under this request_id"),
    503: ("Unavailable", "a part of the service does not answer: try again in a moment"),
}
"""Code and detail of a problem of each status."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def add_examples(description: dict[str, Any]) -> None:
    """Give every JSON body an example that has none. Raises LookupError for a field that nothing is known of."""
    schemas = description["components"]["schemas"]
    for operations in description["paths"].values():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies:
                told = body.get("content", {}).get(JSON)
                if told is not None and not {"example", "examples"} & told.keys():
                    told["example"] = example_of(told["schema"], schemas)


def problem_examples(titles: Mapping[int, str]) -> dict[str, Any]:
    """`components.examples`: the problem of each status, by `problem_name`."""
    return {
        problem_name(status): {
            "value": {
                "type": f"urn:holotype:problem:{code}",
                "title": titles[status],
                "status": status,
                "detail": detail,
                "code": code,
                "request_id": "fe9249dd128a44d8b9f07227cb558a97",
            }
        }
        for status, (code, detail) in PROBLEMS.items()
    }


def problem_name(status: int) -> str:
    """Of the example in the components."""
    return f"Problem{status}"


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:  # noqa: ANN401 -- JSON
    """A value that the schema takes. `name` is that of the field which it is of."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(SCHEMAS)], schemas, name)
    choices = schema.get("anyOf", [schema])
    types = {one.get("type") for one in choices}
    for value in SHARED.get(name, ()):
        fits = any(isinstance(value, _TYPES.get(kind, ())) for kind in types) and value in schema.get("enum", [value])
        if fits and "properties" not in schema:
            return value
    if "anyOf" in schema:
        return example_of(choices[0], schemas, name)
    return _made(schema, schemas, name)


def _made(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 -- JSON
    for known in ("const", "default"):
        if known in schema:
            return schema[known]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "boolean":
            return False
        case "array":
            return [example_of(schema["items"], schemas, name)]
        case "object" if "properties" in schema:
            return {one: example_of(value, schemas, one) for one, value in schema["properties"].items()}
        case "object":
            return {}
    raise LookupError(f"the field {name!r} has no example: give it one")
