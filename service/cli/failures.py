"""Errors at the edge of the command line: exit codes, and the one form in which each is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import typer

from service.cli.output import Output
from service.errors import AlreadyExists, Busy, HolotypeError, InvalidInput, NotFound

DONE = 0
FAILED = 1
WRONG_USE = 2
NOT_FOUND = 3
IN_USE = 4
INTERRUPTED = 130
READER_GONE = 141
"""As a shell reports a process that SIGPIPE ended."""

# Newer Typers carry their own copy of Click's exceptions, older ones import Click's: this is UsageError in both.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_CODES: tuple[tuple[type[HolotypeError], int], ...] = (
    (InvalidInput, WRONG_USE),
    (AlreadyExists, WRONG_USE),
    (NotFound, NOT_FOUND),
    (Busy, IN_USE),
)

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """Ctrl-C during a command. Not a KeyboardInterrupt any more: Typer would turn that into an exit of its own."""


def exit_code(error: HolotypeError) -> int:
    """Exit code of an error raised on purpose."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def tell(error: Exception, output: Output) -> int:
    """Say what went wrong, on the stream where it belongs; returns the exit code."""
    if isinstance(error, HolotypeError):
        logger.debug("raised here", exc_info=error)
        output.failure(type(error).__name__, error.message, error.details)
        return exit_code(error)
    if isinstance(error, UsageError):
        return _tell_usage(error, output)
    if isinstance(error, Interrupted):
        message = "interrupted; what was handed over is kept: the job goes on at the next start"
        output.failure("Interrupted", message, {})
        return INTERRUPTED
    return _tell_unexpected(error, output)


def _tell_usage(error: Exception, output: Output) -> int:
    """What Click refuses: an unknown option, a missing argument. Without any argument its message is the help."""
    message = str(getattr(error, "format_message", lambda: error)())
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        message = "a command is missing; --help lists them"
    details: Mapping[str, object] = {"usage": " ".join(context.get_usage().split())} if context else {}
    if context and not output.as_json:
        output.note(context.get_usage())
    output.failure("UsageError", message, details)
    return WRONG_USE


def _tell_unexpected(error: Exception, output: Output) -> int:
    """A defect, or the machine: no traceback unless the log level asks for it."""
    logger.debug("unexpected error", exc_info=error)
    said = str(error) or "no message"
    output.failure(
        type(error).__name__, f"unexpected {type(error).__name__}: {said} (HOLOTYPE_LOG_LEVEL=DEBUG shows where)", {}
    )
    return FAILED
