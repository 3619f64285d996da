"""Copies of all records: out of each kind of database into a file, and from the file into each kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import select, text

from service.adapters.registry_sql import SqlRegistry
from service.adapters.registry_sql.copies import SqlCopies
from service.adapters.registry_sql.database import Database
from service.adapters.registry_sql.migrate import alembic_config
from service.adapters.registry_sql.schema import metadata
from service.errors import InvalidInput
from service.records import ItemState, JobKind, NewItem, Split
from service.records.tenants import ApiKey, Scope
from tests import postgres_server
from tests.registry_rows import Clock

KEY = ApiKey(
    id="k" * 16,
    tenant="acme",
    name="mine",
    secret_sha256="0" * 64,
    scopes=(Scope.READ,),
    created_at=1.0,
    expires_at=None,
    revoked_at=None,
)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """URL of one that is not there yet, or has no tables."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'other' / 'holotype.db'}"
    else:
        with postgres_server.database_url() as url:
            yield url


def fill(url: str) -> None:
    with closing(SqlRegistry(url, Clock())) as registry:
        registry.ensure_tenant("acme")
        registry.add_key(KEY)
        catalogue = registry.create_catalogue("acme", "birds\u2603", "pixel")
        job = registry.open_job(catalogue, JobKind.INGEST, {"share": 0.1})
        items = [
            NewItem(source=f"{n}.png", content_hash=f"{n:064x}", label="owl", split=Split.SUPPORT) for n in range(40)
        ]
        registry.add_items(job.id, items)
        registry.seal_job(job.id, 8)


def rows_of(url: str) -> dict[str, list[Any]]:
    with closing(Database(url)) as opened:
        return {
            table.name: sorted(map(repr, opened.read(lambda connection: connection.execute(select(table)).all())))  # noqa: B023
            for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_what_was_copied_is_there_again_and_counting_goes_on(registry_url: str, target: str, tmp_path: Path) -> None:
    fill(registry_url)
    file = tmp_path / "copy.db"
    copies = SqlCopies(registry_url)
    assert not copies.is_empty()
    copies.copy_to(file)
    held = rows_of(registry_url)
    assert len(held["holotype_items"]) == 40
    with database(target, tmp_path) as url:
        other = SqlCopies(url)
        assert other.is_empty()
        other.fill_from(file)
        assert rows_of(url) == held
        with closing(SqlRegistry(url, Clock())) as registry:
            catalogue = registry.catalogue("acme", "birds\u2603")
            job = registry.open_job(catalogue, JobKind.INGEST, {})
            registry.add_items(job.id, [NewItem(source="x", content_hash="f" * 64, label="owl", split=Split.SUPPORT)])
            assert registry.items(job.id)[0].id > 40
            assert sum(registry.item_counts(job.id).values()) == 1
        with pytest.raises(InvalidInput, match="restore into an empty database"):
            other.fill_from(file)


def test_a_copy_is_of_one_moment_whatever_is_written_meanwhile(registry_url: str, tmp_path: Path) -> None:
    fill(registry_url)
    with closing(SqlRegistry(registry_url, Clock())) as registry:
        catalogue = registry.catalogue("acme", "birds\u2603")
        (job,) = registry.jobs(["queued"], catalogue.id)
        chunk = registry.claim_chunk(job.id, 0, "me", 60)
        assert chunk is not None
        SqlCopies(registry_url).copy_to(tmp_path / "before.db")
        registry.cancel_job(job.id)
        with SqlCopies(registry_url).opened(tmp_path / "before.db") as copied:
            assert copied.job(job.id).cancelled_at is None
            assert copied.item_counts(job.id) == {ItemState.PENDING: 40}


def test_nothing_is_copied_where_nothing_is(tmp_path: Path) -> None:
    copies = SqlCopies(f"sqlite:///{tmp_path / 'none' / 'holotype.db'}")
    assert copies.is_empty()
    with pytest.raises(InvalidInput, match="there are no records"):
        copies.copy_to(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_records_of_an_older_version_are_brought_up_to_date_in_the_copy_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    with closing(Database(url)) as old:
        old.write(lambda connection: command.upgrade(alembic_config(connection), "0001"))
    SqlCopies(url).copy_to(tmp_path / "copy.db")
    with SqlCopies(url).opened(tmp_path / "copy.db") as registry:
        assert registry.tenants() == []
    with closing(Database(url)) as old:
        assert old.read(lambda connection: connection.execute(text("select * from holotype_version")).all()) == [
            ("0001",)
        ]


def test_a_postgresql_of_another_version_is_not_copied(tmp_path: Path) -> None:
    with postgres_server.database_url() as url, pytest.raises(InvalidInput, match="schema none"):
        SqlCopies(url).copy_to(tmp_path / "copy.db")
