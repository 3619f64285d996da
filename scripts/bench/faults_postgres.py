"""A PostgreSQL of a fault run's own: Debian's programs, a folder, a Unix socket; killed and started again."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from scripts.bench.faults_patience import wait_for_start
from scripts.bench.faults_processes import GaveUp, Processes

PROGRAMS = Path("/usr/lib/postgresql")
OPTIONS = ("fsync=off", "listen_addresses=", "dynamic_shared_memory_type=mmap", "restart_after_crash=on")
"""`kill -9` loses nothing that was written: only a power cut needs fsync."""


def why_not() -> str | None:
    """Why there is no PostgreSQL here; None where there is one."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed"
    if _programs() is None:
        return "no PostgreSQL is installed: apt-get install postgresql"
    if os.geteuid() == 0 and _user() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    return None


class Postgres:
    """The server in `folder`; `url` is of its one database."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes, self._folder = processes, folder
        programs = _programs()
        if programs is None:
            raise GaveUp("no PostgreSQL is installed")
        self._programs = programs
        self.url = f"postgresql+psycopg://holotype@/postgres?host={folder}"
        folder.mkdir(mode=0o700)
        folder.parent.chmod(0o711)  # its user has to pass through
        if os.geteuid() == 0 and (owner := _user()) is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [*_dropped(), programs / "initdb", "-D", folder / "data", "-U", "holotype", "-A", "trust", "-E", "UTF8"],
            cwd=folder,
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        options = [part for setting in OPTIONS for part in ("-c", setting)]
        command = [*_dropped(), self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder, *options]
        process = self._processes.start("postgres", [str(part) for part in command], {}, cwd=self._folder)
        wait_for_start(self._answers, process.pid, "PostgreSQL answers")

    def cut_connections(self) -> None:
        """End every connection but the one that asks for it."""
        with self._connected() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                "and backend_type = 'client backend'"
            )

    def _answers(self) -> bool:
        import psycopg

        with suppress(psycopg.OperationalError):
            self._connected().close()
            return True
        return False

    def _connected(self):  # noqa: ANN202 -- psycopg is there only where it is asked for
        import psycopg

        return psycopg.connect(host=str(self._folder), user="holotype", dbname="postgres", autocommit=True)


def _programs() -> Path | None:
    found = [path.parent for path in PROGRAMS.glob("*/bin/initdb")]
    return max(found, key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.parent.name)], default=None)


def _user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _dropped() -> list[str]:
    """A prefix that drops the rights of root; the signal of a parent's death has to be asked for again after that."""
    user = _user()
    if os.geteuid() != 0 or user is None:
        return []
    return ["setpriv", "--pdeathsig", "KILL", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
