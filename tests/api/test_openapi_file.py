"""The description of the API: as the file has it, complete, and with examples that its own schemas accept."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scripts.description import FILE, described

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


def examples(body: dict[str, Any]) -> list[Any]:
    """Examples of a media type: its own, those of its schema, or one made of those of the schema's properties."""
    if "example" in body:
        return [body["example"]]
    if "examples" in body:
        return [one["value"] for one in body["examples"].values()]
    schema = resolved(body["schema"])
    if "examples" in schema:
        return list(schema["examples"])
    made = {
        name: property_["examples"][0]
        for name, property_ in schema.get("properties", {}).items()
        if "examples" in resolved(property_) or "examples" in property_
    }
    return [made] if made else []


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


JSON_BODIES = [
    (name, operation["requestBody"]["content"]["application/json"])
    for name, operation in OPERATIONS
    if "application/json" in operation.get("requestBody", {}).get("content", {})
]


@pytest.mark.parametrize("body", [one for _, one in JSON_BODIES], ids=[name for name, _ in JSON_BODIES])
def test_every_json_body_has_an_example_that_it_takes(body: dict[str, Any]) -> None:
    found = examples(body)
    required = set(resolved(body["schema"]).get("required", []))
    assert found or not required, "give the model's fields examples"
    for one in found:
        assert required <= set(one), f"the example lacks {required - set(one)}"
        Draft202012Validator(named(resolved(body["schema"]))).validate(one)


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))
