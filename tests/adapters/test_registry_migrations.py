"""Databases of earlier versions, with rows in them, are brought up to date and lose nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, text

from service.adapters.registry_sql import SqlRegistry
from service.adapters.registry_sql.database import Database
from service.adapters.registry_sql.migrate import alembic_config, stored_version
from service.adapters.registry_sql.schema import REVISION
from service.records import Quotas, Usage
from tests import postgres_server

CATALOGUE, EXAMPLE = str(uuid.uuid4()), str(uuid.uuid4())


@pytest.fixture(params=["sqlite", "postgresql"])
def first_schema(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database of revision 0001 that holds a catalogue with one example."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'holotype.db'}"
        _fill(url)
        yield url
    else:
        with postgres_server.database_url() as url:
            _fill(url)
            yield url


def _fill(url: str) -> None:
    database = Database(url)
    database.write(_rows)
    database.close()


def _rows(connection: Connection) -> None:
    command.upgrade(alembic_config(connection), "0001")
    connection.execute(
        text("INSERT INTO holotype_catalogues (id, tenant, name, encoder, created_at) VALUES (:id, 't', 'n', 'p', 1)"),
        {"id": CATALOGUE},
    )
    connection.execute(
        text(
            "INSERT INTO holotype_examples (catalogue_id, id, label, split, state, content_hash, source, width_px, "
            "height_px, perceptual_hash, created_at) "
            "VALUES (:catalogue, :id, 'owl', 'support', 'active', 'h', 's', 3, 4, '0123456789abcdef', 1)"
        ),
        {"catalogue": CATALOGUE, "id": EXAMPLE},
    )


def test_the_first_schema_is_brought_up_to_date_with_its_rows(first_schema: str) -> None:
    registry = SqlRegistry(first_schema)
    assert registry.database.read(stored_version) == REVISION
    kept = registry.database.read(lambda connection: connection.execute(text("SELECT id FROM holotype_examples")).all())
    assert [row.id for row in kept] == [EXAMPLE]
    assert registry.kept_findings(CATALOGUE) == {}
    registry.keep_findings(CATALOGUE, {EXAMPLE: ["outlier"]})
    assert registry.kept_findings(CATALOGUE) == {EXAMPLE: frozenset({"outlier"})}
    registry.close()


def test_every_tenant_that_owns_a_catalogue_gets_its_row_without_quotas(first_schema: str) -> None:
    registry = SqlRegistry(first_schema)
    assert [(one.name, one.quotas) for one in registry.tenants()] == [("t", Quotas())]
    assert registry.tenant("t").created_at > 0
    assert registry.usage("t") == Usage(catalogues=1, examples=1, inflight_items=0)
    registry.close()


def test_going_back_to_the_first_schema_keeps_the_examples(first_schema: str) -> None:
    registry = SqlRegistry(first_schema)
    registry.keep_findings(CATALOGUE, {EXAMPLE: ["outlier"]})
    registry.database.write(lambda connection: command.downgrade(alembic_config(connection), "0001"))
    kept = registry.database.read(lambda connection: connection.execute(text("SELECT id FROM holotype_examples")).all())
    assert [row.id for row in kept] == [EXAMPLE]
    registry.close()
    again = SqlRegistry(first_schema)
    assert again.kept_findings(CATALOGUE) == {}
    again.close()
