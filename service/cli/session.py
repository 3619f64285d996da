"""What a command works with: the settings, the wired ports, and a place for its words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.output import Output
from service.errors import InvalidInput, quoted

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from service.cli.backend import Backend
    from service.cli.checks import Check
    from service.settings import Settings
    from service.usecases.context import Context


class Session:
    """One run of the command line. Nothing is read or opened before it is asked for."""

    def __init__(self, output: Output, data_dir: Path | None = None, tenant: str | None = None) -> None:
        self.output = output
        self._data_dir = data_dir
        self._tenant = tenant

    @staticmethod
    def of(value: object) -> Session:
        """The session that travels in Typer's context; a new one where Typer was started by something else."""
        return value if isinstance(value, Session) else Session(Output(as_json=False))

    def under(self, data_dir: Path | None, tenant: str | None) -> Session:
        """This session with the options of a level further in laid over its own."""
        return Session(self.output, data_dir or self._data_dir, self._tenant if tenant is None else tenant)

    @cached_property
    def settings(self) -> Settings:
        """The environment with the options over it. Raises InvalidInput naming what cannot be used."""
        from pydantic import ValidationError

        from service.settings import Settings

        given: dict[str, object] = {"data_dir": self._data_dir, "tenant": self._tenant}
        try:
            settings = Settings.model_validate({name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise _setting_error(error) from error
        _start_logging(settings)
        return settings

    @property
    def tenant(self) -> str:
        """The tenant to act for."""
        return self.settings.tenant

    @cached_property
    def backend(self) -> Backend:
        """Who does what commands ask: the server that HOLOTYPE_URL names, or this process.

        Raises:
            InvalidInput: there is a server, and an option that is about this machine.
        """
        if self.settings.url is None:
            from service.cli.local import LocalBackend

            return LocalBackend(self)
        from service.cli.remote import RemoteBackend

        given = {"--data-dir": self._data_dir, "--tenant": self._tenant}
        pointless = [option for option, value in given.items() if value is not None]
        if pointless:
            raise InvalidInput(
                f"HOLOTYPE_URL is set, so {self.settings.url} does the work, for the tenant of HOLOTYPE_KEY: leave "
                f"{' and '.join(pointless)} out, or unset HOLOTYPE_URL"
            )
        return RemoteBackend(self.settings)

    def close(self) -> None:
        """Let go of the backend, where one was used."""
        if "backend" in vars(self):
            self.backend.close()

    def refuse_server(self, why: str) -> None:
        """Raises InvalidInput where HOLOTYPE_URL is set, for what a server cannot be asked."""
        if self.settings.url is not None:
            raise InvalidInput(f"{why}, and HOLOTYPE_URL says that another one does it: unset HOLOTYPE_URL")

    def checks(self, *, quick: bool) -> list[Check]:
        """What `doctor` finds; settings that cannot be used are a finding, too."""
        from service.cli.checks import run_checks

        try:
            asked = self.settings.url is not None
        except InvalidInput:
            asked = False
        return self.backend.checks(quick=quick) if asked else run_checks(self, quick=quick)

    def open(self, *, micro_batches: bool = False) -> AbstractContextManager[Context]:
        """The wired ports. In the embedded default the data directory is this process's until the end.

        `micro_batches` is for a process that answers many at once.
        """
        from service.bootstrap import open_context

        return open_context(self.settings, micro_batches=micro_batches)

    @contextmanager
    def working(self, *, micro_batches: bool = False) -> Iterator[Context]:
        """The wired ports, with somebody to do the jobs: worker threads here unless a broker is set."""
        from workers.embedded import embedded_workers

        with self.open(micro_batches=micro_batches) as context, embedded_workers(context, self.settings):
            yield context


def _start_logging(settings: Settings) -> None:
    from service.bootstrap import start_logging

    start_logging(settings)


_WHOLE, _NUMBER = "must be a whole number", "must be a number"
_WORDS = {
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_type": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "path_type": "must be a path",
    "value_error": "{error}",
}
"""What Pydantic's kinds of errors are called here; the braces are filled from the error's own context."""


def _setting_error(error: ValidationError) -> InvalidInput:
    wrong = {".".join(map(str, line["loc"])): _setting_words(line) for line in error.errors(include_url=False)}
    told = "; ".join(f"HOLOTYPE_{name.upper()}: {message}" for name, message in wrong.items())
    return InvalidInput(f"a setting cannot be used: {told}", settings=wrong)


def _setting_words(line: ErrorDetails) -> str:
    """What is wrong with one setting, with the value that was given unless it is a secret."""
    known = _WORDS.get(line["type"])
    said = line["msg"] if known is None else known.format(**line.get("ctx", {}))
    given = line["input"]
    return f"{quoted(given)} {said}" if known is not None and isinstance(given, str) else said
