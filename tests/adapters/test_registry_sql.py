"""The SQL registry as such: its schema and migrations, its URLs, its transactions. The contract: tests/contracts."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from service.adapters.registry_sql import SqlRegistry, settling
from service.adapters.registry_sql.copies import SqlCopies
from service.adapters.registry_sql.database import Database
from service.adapters.registry_sql.migrate import alembic_config, stored_version
from service.adapters.registry_sql.schema import REVISION, VERSION_TABLE, metadata
from service.adapters.registry_sql.settling import KnownExample, judged
from service.errors import InvalidInput, Unavailable
from service.records import ExampleState, ItemState, Quotas
from tests import postgres_server
from tests.registry_rows import claimed, ingested, picture, sealed, settled


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'made' / 'holotype.db'}"
    else:
        with postgres_server.database_url() as url:
            yield url


@pytest.fixture
def sqlite_registry(tmp_path: Path) -> Iterator[SqlRegistry]:
    registry = SqlRegistry(f"sqlite:///{tmp_path / 'holotype.db'}")
    yield registry
    registry.close()


def modes_of_new_files(folder: Path, umask: int) -> dict[str, str]:
    """Octal modes of the folder, of a database that is made in it, with what lies beside that, and of a copy."""
    file, copied = folder / "holotype.db", folder / "copied.db"
    former = os.umask(umask)
    try:
        registry = SqlRegistry(f"sqlite:///{file}")
        registry.create_tenant("acme", Quotas())
        modes = {path.name: f"{path.stat().st_mode & 0o777:o}" for path in (folder, *folder.iterdir())}
        registry.close()
        SqlCopies(f"sqlite:///{copied}").fill_from(file)
    finally:
        os.umask(former)
    return modes | {"copied.db": f"{copied.stat().st_mode & 0o777:o}"}


def test_a_file_that_is_made_is_its_users_own(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    own = dict.fromkeys(("holotype.db", "holotype.db-wal", "holotype.db-shm", "copied.db"), "600")
    assert modes_of_new_files(tmp_path / "made", 0) == {"made": "700", **own}
    (tmp_path / "own").mkdir(mode=0o700)
    assert modes_of_new_files(tmp_path / "own", 0) == {"own": "700", **own}


@pytest.mark.parametrize(
    ("mode", "umask", "made"), [(0o2770, 0o002, "664"), (0o2770, 0o007, "660"), (0o755, 0o022, "644")]
)
def test_a_file_in_a_directory_that_lets_others_in_is_as_the_umask_has_it(
    tmp_path: Path, mode: int, umask: int, made: str
) -> None:
    (folder := tmp_path / "shared").mkdir()
    folder.chmod(mode)
    modes = modes_of_new_files(folder, umask)
    assert modes.pop("shared") == f"{mode & 0o777:o}"
    assert set(modes) == {"holotype.db", "holotype.db-wal", "holotype.db-shm", "copied.db"}
    assert set(modes.values()) == {made}


def test_a_file_that_cannot_be_opened_makes_one_think_of_permissions(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"unable to open database file: does this user have permission to read and"):
        open_and_count(f"sqlite:///{tmp_path}")


def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (file := tmp_path / "holotype.db").touch(mode=0o640)
    file.chmod(0o640)
    assert open_and_count(f"sqlite:///{file}") == 0
    assert file.stat().st_mode & 0o777 == 0o640


def open_and_count(url: str) -> int:
    """The number of catalogues in a database that is opened for it."""
    registry = SqlRegistry(url)
    try:
        return len(registry.all_catalogues())
    finally:
        registry.close()


def test_several_processes_make_one_schema(empty_url: str) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert list(processes.map(open_and_count, [empty_url] * 4)) == [0, 0, 0, 0]


def test_migrations_make_the_tables_that_the_code_uses_and_can_go_back(empty_url: str) -> None:
    registry = SqlRegistry(empty_url)

    def differences(connection: Connection) -> list[object]:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert registry.database.read(differences) == []
    assert registry.database.read(stored_version) == REVISION
    registry.database.write(lambda connection: command.downgrade(alembic_config(connection), "base"))
    assert registry.database.read(stored_version) is None
    registry.close()
    assert open_and_count(empty_url) == 0


def test_the_newest_migration_is_the_schema_of_the_code(sqlite_registry: SqlRegistry) -> None:
    config = sqlite_registry.database.read(alembic_config)
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_a_database_of_a_newer_holotype_is_refused(empty_url: str) -> None:
    registry = SqlRegistry(empty_url)
    newer = text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    registry.database.write(lambda connection: connection.execute(newer))
    registry.close()
    with pytest.raises(InvalidInput, match=rf"has schema 9999.*up to {REVISION}: upgrade Holotype") as caught:
        SqlRegistry(empty_url)
    assert caught.value.details == {"found": "9999", "known": REVISION}


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("alembic.operations.Operations.create_index", fail)
        with pytest.raises(RuntimeError, match="the disk is full"):
            SqlRegistry(empty_url)
    database = Database(empty_url)
    assert database.read(stored_version) is None
    database.close()
    assert open_and_count(empty_url) == 0


def test_opening_an_up_to_date_database_does_not_import_alembic(sqlite_registry: SqlRegistry) -> None:
    script = (
        "import sys; from service.adapters.registry_sql import SqlRegistry; SqlRegistry(sys.argv[1]).close();"
        "sys.exit('alembic' in sys.modules)"
    )
    url = sqlite_registry.database.url.render_as_string()
    assert subprocess.run([sys.executable, "-c", script, url], check=False).returncode == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("no url", "cannot be read"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("mysql://host/name", "'mysql' is not supported"),
        ("postgresql+asyncpg://host/name", "is not supported"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        SqlRegistry(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holotype.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(InvalidInput, match="not a database"):
        SqlRegistry(f"sqlite:///{tmp_path / 'holotype.db'}")


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidInput, match=r"pip install 'holotype\[postgres\]'"):
        SqlRegistry("postgresql://host/name")


def test_a_server_that_does_not_answer_is_unavailable_and_its_password_is_not_shown(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(Unavailable) as caught:
        SqlRegistry(f"postgresql://user:secret@/name?host={tmp_path}")
    assert "does not answer" in str(caught.value)
    assert "secret" not in str(caught.value) + str(caught.value.details)


def test_sqlite_waits_for_its_turn_and_keeps_foreign_keys(sqlite_registry: SqlRegistry) -> None:
    def pragma(name: str) -> object:
        return sqlite_registry.database.read(lambda connection: connection.execute(text(f"PRAGMA {name}")).scalar())

    assert pragma("journal_mode") == "wal"
    assert pragma("foreign_keys") == 1
    assert pragma("busy_timeout") == 60_000


def test_a_lock_that_lasts_too_long_is_unavailable(
    sqlite_registry: SqlRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.adapters.registry_sql.database.BUSY_TIMEOUT_S", 0.05)
    impatient = SqlRegistry(sqlite_registry.database.url.render_as_string())
    holder = sqlite3.connect(str(sqlite_registry.database.url.database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Unavailable, match="database is locked"):
            impatient.create_catalogue("tenant", "birds", "pixel")
        assert impatient.all_catalogues() == []  # reading goes on
    finally:
        holder.close()
        impatient.close()


def test_a_failing_transaction_leaves_nothing_behind(
    sqlite_registry: SqlRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = sqlite_registry.create_catalogue("tenant", "birds", "pixel")
    job_id = sealed(sqlite_registry, catalogue, [picture("a")])
    chunk = claimed(sqlite_registry, job_id)

    def fail(*_: object) -> bool:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr("service.adapters.registry_sql.chunks._job_settled", fail)
        with pytest.raises(RuntimeError, match="killed here"):
            settled(sqlite_registry, catalogue, chunk)
    assert sqlite_registry.examples(catalogue.id) == []
    assert [item.state for item in sqlite_registry.items(job_id)] == [ItemState.PENDING]
    assert settled(sqlite_registry, catalogue, chunk).job_settled


def test_a_deadlock_is_run_again_on_postgresql() -> None:
    with postgres_server.database_url(postgres_server.migrated_template()) as url:
        registry = SqlRegistry(url)
        names = [registry.create_catalogue("tenant", name, "pixel").id for name in "ab"]
        first_locks, runs = threading.Barrier(2), []

        def lock(order: list[str]) -> None:
            def work(connection: Connection) -> None:
                runs.append(order)
                for position, id_ in enumerate(order):
                    statement = text("SELECT 1 FROM holotype_catalogues WHERE id = :id FOR UPDATE")
                    connection.execute(statement, {"id": id_})
                    if position == 0 and len(runs) <= 2:
                        first_locks.wait(timeout=30)

            registry.database.write(work)

        threads = [threading.Thread(target=lock, args=(order,)) for order in (names, names[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert len(runs) == 3  # one of the two was undone and run again
        registry.close()


def test_an_example_dropped_while_it_is_delivered_again_is_new_on_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres_server.database_url(postgres_server.migrated_template()) as url:
        registry, other = SqlRegistry(url), SqlRegistry(url)
        catalogue = registry.create_catalogue("tenant", "birds", "pixel")
        ingested(registry, catalogue, [picture("a", "owl")])
        (dropped,) = registry.examples(catalogue.id)
        job_id = sealed(registry, catalogue, [picture("a", "rook")])
        chunk = claimed(registry, job_id)

        def drop_first(*arguments: object) -> dict[str, KnownExample]:
            other.delete_examples(catalogue.id, [dropped.id])
            return known(*arguments)  # type: ignore[arg-type]

        known = settling._known
        monkeypatch.setattr(settling, "_known", drop_first)
        assert settled(registry, catalogue, chunk).conflicts == ()
        assert [item.state for item in registry.items(job_id)] == [ItemState.STORED]
        assert [example.label for example in registry.examples(catalogue.id)] == ["rook"]
        registry.close()
        other.close()


def test_only_collisions_are_run_again(sqlite_registry: SqlRegistry) -> None:
    runs = []

    def work(_: Connection) -> None:
        runs.append(1)
        raise OperationalError("statement", {}, sqlite3.OperationalError("disk I/O error"))

    with pytest.raises(Unavailable, match="disk I/O error"):
        sqlite_registry.database.write(work)
    assert runs == [1]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
def test_a_forked_child_opens_its_own_connections(sqlite_registry: SqlRegistry) -> None:
    sqlite_registry.create_catalogue("tenant", "parent", "pixel")
    context = multiprocessing.get_context("fork")
    child = context.Process(target=sqlite_registry.create_catalogue, args=("tenant", "child", "pixel"))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 0
    assert [catalogue.name for catalogue in sqlite_registry.catalogues("tenant")] == ["child", "parent"]


OWL = KnownExample("owl", ExampleState.ACTIVE, (), ("jay",))
CONTESTED = KnownExample("owl", ExampleState.CONFLICT, ("owl", "rook"), ())


@pytest.mark.parametrize(
    ("known", "label", "state", "after"),
    [
        (OWL, "owl", ItemState.DUPLICATE, OWL),
        (OWL, "jay", ItemState.DUPLICATE, OWL),
        (OWL, "rook", ItemState.CONFLICT, KnownExample("owl", ExampleState.CONFLICT, ("owl", "rook"), ("jay",))),
        (CONTESTED, "owl", ItemState.CONFLICT, CONTESTED),
        (CONTESTED, "rook", ItemState.CONFLICT, CONTESTED),
        (CONTESTED, "x", ItemState.CONFLICT, KnownExample("owl", ExampleState.CONFLICT, ("owl", "rook", "x"), ())),
    ],
)
def test_another_delivery_is_judged(known: KnownExample, label: str, state: ItemState, after: KnownExample) -> None:
    assert judged(known, label) == (state, after)
