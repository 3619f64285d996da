"""The description of the API: as the file has it, complete, and with examples that its own schemas accept."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scripts.description import FILE, described
from service.api.examples import example_of

METHODS = {"get", "post", "put", "patch", "delete"}
PRESENT = json.loads(FILE.read_text(encoding="utf-8"))
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in PRESENT["paths"].items()
    for method, operation in operations.items()
    if method in METHODS
]


def named(schema: Any) -> Any:
    """The schema with its references led into the description's own components."""
    return {**schema, "components": PRESENT["components"]}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return resolved(PRESENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return schema


def test_the_file_is_what_the_application_says() -> None:
    """Where this fails: run scripts/openapi and commit service/api/openapi.json."""
    assert described() == FILE.read_text(encoding="utf-8"), "the API changed: run scripts/openapi and commit the file"


@pytest.mark.parametrize("operation", [one for _, one in OPERATIONS], ids=[name for name, _ in OPERATIONS])
def test_every_operation_is_described(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["operationId"]
    assert operation["tags"]
    for parameter in operation.get("parameters", []):
        assert parameter.get("description") or resolved(parameter["schema"]).get("description"), parameter["name"]


BINARY = {"application/zip", "image/jpeg", "image/png", "image/webp", "multipart/form-data"}
"""What no example shows in JSON; the fields of a form have descriptions."""

TEXT = {"text/plain", "text/html"}
PROBLEM = "application/problem+json"

BODIES = [
    (f"{name} {where}", body)
    for name, operation in OPERATIONS
    for where, told in [("body", operation.get("requestBody", {})), *operation["responses"].items()]
    for media_type, body in told.get("content", {}).items()
    if media_type not in {*BINARY, *TEXT, PROBLEM}
]


@pytest.mark.parametrize("body", [one for _, one in BODIES], ids=[name for name, _ in BODIES])
def test_every_body_has_an_example_that_its_schema_takes(body: dict[str, Any]) -> None:
    found, schema = body["example"], resolved(body.get("schema", {}))
    if schema.get("type") == "object":
        assert set(schema.get("required", [])) <= set(found)
    Draft202012Validator(named(schema)).validate(found)


def test_a_problem_shows_the_status_that_it_is_told_for() -> None:
    for name, operation in OPERATIONS:
        for status, told in operation["responses"].items():
            if PROBLEM in told.get("content", {}):
                (link,) = told["content"][PROBLEM]["examples"].values()
                assert link == {"$ref": f"#/components/examples/Problem{status}"}, name
    for name, one in PRESENT["components"]["examples"].items():
        assert name == f"Problem{one['value']['status']}"
        Draft202012Validator(named(PRESENT["components"]["schemas"]["Problem"])).validate(one["value"])


def test_a_field_of_which_nothing_is_known_is_an_error() -> None:
    schema = {"type": "object", "properties": {"colour_of_the_sky": {"type": "string"}}}
    with pytest.raises(LookupError, match="'colour_of_the_sky' has no example"):
        example_of(schema, {})


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))
