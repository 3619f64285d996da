"""The log: lines for people or JSON objects on standard error, each with the ids of what is being done.

structlog renders what the standard library's loggers say, so libraries' lines look like ours. Whatever looks like a
credential is masked in the finished line, wherever it came from: an exception's text, a library's debug line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import IO, Any, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

from service.usecases.log_context import current_ids
from service.usecases.masking import masked

ALWAYS_TOLD = ("holotype.encoders", "holotype.access")
"""Loggers whose INFO is told at level WARNING too: which device an encoder got, and the requests of a server."""

QUIET = ("alembic.runtime.plugins", "celery.app.trace", "celery.worker.strategy", "httpcore", "httpx")
"""Loggers whose INFO nobody needs, and whose lines name no ids: told with DEBUG only. httpx names whole URLs, those of
webhooks among them, which may hold a secret."""


def start_logging(level: str, form: Literal["text", "json"] = "text") -> None:
    """Log of all libraries to standard error, from this level on. Text names loggers with DEBUG only."""
    handler = _StandardError()
    handler.setFormatter(_Masking(_json() if form == "json" else _text(named=level == "DEBUG")))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ALWAYS_TOLD:
        logging.getLogger(name).setLevel(logging.INFO if level == "WARNING" else logging.NOTSET)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING if level == "INFO" else logging.NOTSET)


class _StandardError(logging.StreamHandler[IO[str]]):
    """Writes to what standard error is now: a progress bar puts its own stream there while it is drawn."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> IO[str]:  # type: ignore[override]
        return sys.stderr


class _Masking(logging.Formatter):
    """Another formatter's lines, masked."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        return masked(self._inner.format(record))


def _json() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _told,
            _ids,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def _told(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Fields that a line has beside its text."""
    record = event.get("_record")
    told = getattr(record, "told", None)
    if isinstance(told, dict):
        event.update(told)
    return event


def _ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event.update(current_ids())
    return event


def _text(*, named: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name],
        processors=[structlog.processors.format_exc_info, _Line(named=named)],
    )


class _Line:
    """`LEVEL name: message (request_id=... tenant=...)`, a traceback below it; of a note the message alone."""

    def __init__(self, *, named: bool) -> None:
        self._named = named

    def __call__(self, _logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
        record: logging.LogRecord = event["_record"]
        if getattr(record, "note", False) and not self._named:
            return str(event["event"])
        name = f" {record.name}" if self._named else ""
        ids = " ".join(f"{key}={value}" for key, value in current_ids().items())
        line = f"{record.levelname}{name}: {event['event']}{f' ({ids})' if ids else ''}"
        return f"{line}\n{event['exception']}" if event.get("exception") else line
