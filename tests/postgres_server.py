"""A PostgreSQL of the tests' own: Debian's programs, a folder in the temporary directory, a Unix socket, no port.

HOLOTYPE_TEST_POSTGRES_URL names a server to use instead; its user must be allowed to create databases.
"""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

GIVEN_URL = os.environ.get("HOLOTYPE_TEST_POSTGRES_URL")  # now: no test sees a HOLOTYPE_ variable
PROGRAMS = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 60
# Nothing here has to survive a power cut. Shared memory in the folder: /dev/shm is tiny in some containers.
QUICK = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "listen_addresses=",
    "dynamic_shared_memory_type=mmap",
)


def _newest_programs() -> Path | None:
    found = [path.parent for path in PROGRAMS.glob("*/bin/initdb")]
    return max(found, key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.parent.name)], default=None)


def _unprivileged() -> dict[str, Any]:
    """How to start the server: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")


def _initialise(programs: Path, folder: Path, rights: dict[str, Any]) -> None:
    command = [programs / "initdb", "-D", folder / "data", "-U", "holotype", "-A", "trust", "-E", "UTF8", "--no-sync"]
    if int(re.findall(r"\d+", programs.parent.name)[0]) >= 15:
        command += ["--locale-provider=icu", "--icu-locale=en-US"]  # sorts "a" before "B": Holotype must not
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **rights)
    if done.returncode:
        pytest.fail(f"initdb failed: {done.stdout}{done.stderr}")


@functools.cache
def server_url() -> str:
    """URL of the server's own database; one server a test process, stopped at its end."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'holotype[postgres]'")
    if GIVEN_URL:
        return GIVEN_URL
    programs = _newest_programs()
    if programs is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql, or set HOLOTYPE_TEST_POSTGRES_URL")
    rights = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="holotype-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if rights:
        os.chown(folder, rights["user"], rights["group"])
    _initialise(programs, folder, rights)
    _start(programs, folder, rights)
    return f"postgresql://holotype@/postgres?host={folder}"


def _dies_with_its_parent(rights: dict[str, Any]) -> list[str]:
    """A prefix that drops the rights of root, and ends the server also when the tests are killed."""
    prefix = ["setpriv", "--pdeathsig", "INT"]
    if rights:
        prefix += [f"--reuid={rights['user']}", f"--regid={rights['group']}", "--clear-groups"]
    return prefix


def _start(programs: Path, folder: Path, rights: dict[str, Any]) -> None:
    options = [part for setting in QUICK for part in ("-c", setting)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*_dies_with_its_parent(rights), programs / "postgres", "-D", folder / "data", "-k", folder, *options],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    atexit.register(_stop, server)
    _wait_until_it_answers(folder, server)


def _wait_until_it_answers(folder: Path, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    end = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(host=str(folder), user="holotype", dbname="postgres").close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                pytest.fail(f"PostgreSQL did not start: {error}; {(folder / 'log').read_text()}")
            time.sleep(0.05)
        else:
            return


def _stop(server: subprocess.Popen[bytes]) -> None:
    """SIGINT is PostgreSQL's "fast" shutdown: it ends connections instead of waiting for them."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _execute(statement: str) -> None:
    import psycopg

    url = server_url().replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@contextmanager
def database_url(template: str | None = None) -> Iterator[str]:
    """A database that is dropped afterwards: empty, or a copy of `template`."""
    from sqlalchemy import make_url

    name = f"holotype_test_{uuid.uuid4().hex}"
    copied = f' TEMPLATE "{template}"' if template else ""
    _execute(f'CREATE DATABASE "{name}"{copied}')
    try:
        yield make_url(server_url()).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@functools.cache
def migrated_template() -> str:
    """Name of a database with Holotype's tables, to copy: faster than migrating for each test."""
    from sqlalchemy import make_url

    from service.adapters.registry_sql import SqlRegistry

    kept = database_url()
    url = kept.__enter__()
    atexit.register(kept.__exit__, None, None, None)
    SqlRegistry(url).close()
    return str(make_url(url).database)
