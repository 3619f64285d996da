"""The description of the API: OpenAPI 3.1, with the problem that every error is."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.examples import add_examples, problem_examples
from service.api.problems import MEDIA_TYPE, TITLES, Problem, responses

DESCRIPTION = """\
Classifies images by a few well chosen reference images. Send a key as `Authorization: Bearer holo_...`; it names the
tenant, whose catalogues are all that it sees. Every error is a problem (RFC 9457, `application/problem+json`).
Lists come in pages: send `next_cursor` back as `cursor`. Long work is a job: 202 with `Location`, to be polled or
followed by server-sent events.
"""


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` answer the whole description, once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _description(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes
    )
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            _only_problems(operation["responses"])
            if "requestBody" in operation:
                _of_a_body(operation["responses"])
    schema["components"]["examples"] = problem_examples(TITLES)
    add_examples(schema)
    return schema


def _of_a_body(answers: dict[str, Any]) -> None:
    """Any body may be no text, come too slowly or be too large; the framework says so before a route is asked."""
    answers |= {str(status): told for status, told in responses(400, 408, 413).items() if str(status) not in answers}


def _only_problems(answers: dict[str, Any]) -> None:
    """FastAPI documents its own form of 422, which is never sent; and 500 may come from anywhere."""
    documented = responses(422, 500)
    answers["500"] = documented[500]
    found = answers.get("422", {}).get("content", {})
    if found and MEDIA_TYPE not in found:
        answers["422"] = documented[422]
