"""Every operation against its own description: generated requests, right and wrong, and what may be answered to them.

No answer is a 500, each has a status and a type that are documented, and a body that fits its schema. The application
is the real one over the embedded parts, with an optimised catalogue in it; examples are few and always the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from scripts.description import FILE
from service.api.app import create_app
from service.bootstrap import open_context
from service.records import Scope
from service.settings import Settings
from service.usecases.context import Context
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from service.usecases.keys import create_key
from service.usecases.optimise import start_optimise
from service.usecases.optimise_request import OptimiseRequest
from tests.conftest import write_pictures
from workers.embedded import embedded_workers

EXAMPLES = {GenerationMode.POSITIVE: 5, GenerationMode.NEGATIVE: 2}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
LABELS = [
    (method.upper(), path)
    for path, operations in json.loads(FILE.read_text(encoding="utf-8"))["paths"].items()
    for method in operations
]


@dataclass(frozen=True, slots=True)
class Filled:
    """The application's schema, a key of every scope, and names of things that are there."""

    schema: schemathesis.schemas.BaseSchema
    headers: dict[str, str]
    there: dict[str, str]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("schemathesis")
    settings = Settings(data_dir=folder / "data", encoder="pixel")
    with open_context(settings) as context, embedded_workers(context, settings):
        context.registry.ensure_tenant("acme")
        key = create_key(context, "acme", "generated requests", tuple(Scope))
        there = {**_catalogue(context, folder), "tenant": "acme", "key": key.key.id}
        app = create_app(context, settings)
        with TestClient(app):
            schema = schemathesis.openapi.from_asgi("/openapi.json", app)
            schema.config.generation.update(with_security_parameters=False)
            yield Filled(schema, {"Authorization": f"Bearer {key.credential}"}, there)


def _catalogue(context: Context, folder) -> dict[str, str]:
    pictures = write_pictures(folder / "pictures", classes=2, each=8)
    ingest = start_ingest(context, "acme", "fruit", pictures, encoder="pixel")
    wait_for_job(context, ingest.id, lambda *_: None)
    chosen = start_optimise(context, "acme", "fruit", OptimiseRequest(trials=1))
    selection = wait_for_job(context, chosen.id, lambda *_: None).result["selection"]
    catalogue = context.registry.catalogue("acme", "fruit")
    example = context.registry.examples(catalogue.id)[0]
    return {
        "catalogue": "fruit",
        "label": example.label,
        "example": example.id,
        "selection": selection,
        "job": ingest.id,
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize(("method", "path"), LABELS, ids=[" ".join(label) for label in LABELS])
def test_every_answer_is_as_described(filled: Filled, method: str, path: str, mode: GenerationMode) -> None:
    operation = filled.schema[path][method]
    with suppress(hypothesis.errors.Unsatisfiable):  # there is nothing wrong to be sent to it
        _try(filled, operation.as_strategy(mode), mode, real=method != "DELETE")


def _try(filled: Filled, cases, mode: GenerationMode, *, real: bool) -> None:
    """With names of things that are there, unless they would be gone afterwards: unknown ones only meet the 404."""

    @hypothesis.given(case=cases, known=hypothesis.strategies.booleans())
    @hypothesis.settings(
        max_examples=EXAMPLES[mode],
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answered(case: schemathesis.Case, known: bool) -> None:
        if real and known:
            for name in set(case.path_parameters or {}) & set(filled.there):
                case.path_parameters[name] = filled.there[name]
        case.call_and_validate(headers=filled.headers, checks=CHECKS)

    answered()
