"""Every operation of the description, with a request that it would take: for tests that hold for all routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.api.filled import picture

BODIES = ("multipart/form-data", "application/json")
"""Content types that a request is made of, the first that an operation takes."""

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `scopes` is None where no key is asked for."""

    name: str
    method: str
    path: str
    scopes: tuple[str, ...] | None
    parameters: tuple[Mapping[str, Any], ...]
    content: Mapping[str, Any] = field(repr=False)
    schemas: Mapping[str, Any] = field(repr=False)

    @property
    def in_path(self) -> tuple[str, ...]:
        """Names of the path's parameters, in order."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    def names(self) -> set[str]:
        """Of all that a request may say: parameters of path and query, properties of the body."""
        told = {one["name"] for one in self.parameters if one["in"] in {"path", "query"}}
        return told | set(self._schema().get("properties", {}))

    def ask(self, client: TestClient, values: Values, **options: Any) -> httpx.Response:
        """Send a request that holds `values` wherever it has a place of that name, and else what is needed at least."""
        path = self.path
        for name in self.in_path:
            path = path.replace(f"{{{name}}}", quote(str(values[name]), safe=""))
        query = {
            one["name"]: values.get(one["name"], self._example(one["schema"]))
            for one in self.parameters
            if one["in"] == "query" and (one.get("required") or one["name"] in values)
        }
        return client.request(self.method, path, params=query, **self._body(values), **options)

    def _body(self, values: Values) -> dict[str, Any]:
        kind = next((one for one in BODIES if one in self.content), None)
        if kind is None:
            return {}
        schema = self._schema()
        body = self._example(schema, values)
        if kind == "application/json":
            return {"content": json.dumps(body).encode(), "headers": {"Content-Type": kind}}
        files = [
            (name, ("lime/1.png", picture("lime", 1), "image/png"))
            for name, one in schema["properties"].items()
            if _binary(self._resolved(one))
        ]
        texts = {name: value for name, value in body.items() if name not in {name for name, _ in files}}
        return {"files": files or [("", ("", b""))], "data": texts}

    def _schema(self) -> Mapping[str, Any]:
        kind = next((one for one in BODIES if one in self.content), None)
        return {} if kind is None else self._resolved(self.content[kind]["schema"])

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema or "anyOf" in schema or "oneOf" in schema:
            if "$ref" in schema:
                schema = self.schemas[schema["$ref"].rsplit("/", 1)[1]]
            else:
                choices = schema.get("anyOf") or schema["oneOf"]
                schema = next(one for one in choices if one.get("type") != "null")
        return schema

    def _example(self, schema: Mapping[str, Any], values: Values | None = None) -> Any:
        if "examples" in schema and "properties" not in schema:
            return schema["examples"][0]
        schema = self._resolved(schema)
        if "properties" in schema:
            return self._object(schema, values or {})
        if "enum" in schema or "const" in schema:
            return schema.get("const", (schema.get("enum") or [None])[0])
        if "examples" in schema:
            return schema["examples"][0]
        if schema.get("type") == "array":
            return [self._example(schema["items"])] * max(1, schema.get("minItems", 1))
        plain = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.0), "boolean": False}
        return plain.get(schema.get("type", ""), {} if schema.get("type") == "object" else "x")

    def _object(self, schema: Mapping[str, Any], values: Values) -> dict[str, Any]:
        body = {}
        for name, one in schema["properties"].items():
            if name in values:
                many = self._resolved(one).get("type") == "array"
                body[name] = [values[name]] if many else values[name]
            elif name in schema.get("required", ()):
                body[name] = self._example(one)
        return body


def operations(app: FastAPI) -> Iterator[Operation]:
    """Every operation under /v1, in the order of the description."""
    description = app.openapi()
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            if path.startswith("/v1"):
                security = told.get("security")
                yield Operation(
                    name=told["operationId"],
                    method=method.upper(),
                    path=path,
                    scopes=None if security is None else tuple(security[0]["key"]),
                    parameters=tuple(told.get("parameters", ())),
                    content=told.get("requestBody", {}).get("content", {}),
                    schemas=description["components"]["schemas"],
                )


def _binary(schema: Mapping[str, Any]) -> bool:
    schema = schema.get("items", schema)
    return schema.get("format") == "binary" or "contentMediaType" in schema
