"""What a command works with: the settings, the wired ports, and a place for its words."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

from service.cli.output import Output
from service.errors import InvalidInput, quoted

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from service.settings import Settings
    from service.usecases.context import Context


ENCODER_LOG = "service.adapters.logged_encoders"


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
        start_logging(settings.log_level)
        return settings

    @property
    def tenant(self) -> str:
        """The tenant to act for."""
        return self.settings.tenant

    def open(self) -> AbstractContextManager[Context]:
        """The wired ports. In the embedded default the data directory is this process's until the end."""
        from service.bootstrap import open_context

        return open_context(self.settings)

    @contextmanager
    def working(self) -> Iterator[Context]:
        """The wired ports, with somebody to do the jobs: worker threads here unless a broker is set."""
        from workers.embedded import embedded_workers

        with self.open() as context, embedded_workers(context, self.settings):
            yield context


def start_logging(level: str) -> None:
    """Log of all libraries to standard error, from this level on; names of loggers with DEBUG only."""
    line = "%(levelname)s %(name)s: %(message)s" if level == "DEBUG" else "%(levelname)s: %(message)s"
    logging.basicConfig(level=level, handlers=[_StandardError()], format=line, force=True)
    if level == "WARNING":
        # Which device and precision an encoder got is said whenever one is loaded.
        logging.getLogger(ENCODER_LOG).setLevel(logging.INFO)


class _StandardError(logging.StreamHandler[IO[str]]):
    """Writes to what standard error is now: a progress bar puts its own stream there while it is drawn."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> IO[str]:  # type: ignore[override]
        return sys.stderr


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
