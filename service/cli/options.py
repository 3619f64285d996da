"""Options that every command takes, before and after its name, and the decorator that adds them.

`--json`, `--data-dir` and `--tenant` are declared once a level: on `holotype`, on `holotype catalogue` and on every
command. Each level lays what it was given over what the level before was given, so the last one wins. `--json` is
looked up by `wants_json` before anything is parsed, because what cannot be parsed must be told as JSON too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.failures import Interrupted
from service.cli.session import Session

PANEL = "Everywhere, before or after the command"

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON value, errors too.", rich_help_panel=PANEL, show_default=False)
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="FOLDER", help="The data directory (HOLOTYPE_DATA_DIR).", rich_help_panel=PANEL),
]
TenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="TENANT", help="Tenant to act for (HOLOTYPE_TENANT).", rich_help_panel=PANEL),
]
CatalogueName = Annotated[str, typer.Argument(metavar="NAME", help="The catalogue's name.", show_default=False)]

Command = Callable[..., None]


def wants_json(arguments: Sequence[str]) -> bool:
    """Is `--json` among the arguments that are options?"""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def group_options(
    context: typer.Context,
    as_json: JsonOption = False,  # noqa: ARG001  read by `wants_json`
    data_dir: DataDirOption = None,
    tenant: TenantOption = None,
) -> None:
    """Callback of a group: remember the common options given before a command's name."""
    context.obj = Session.of(context.obj).under(data_dir, tenant)


def command(app: typer.Typer, name: str) -> Callable[[Command], Command]:
    """Register a function as a command: it gets a Session first, and the common options are added to its own."""

    def register(function: Command) -> Command:
        app.command(name)(_with_common_options(function))
        return function

    return register


def _with_common_options(function: Command) -> Command:
    @functools.wraps(function)
    def run(context: typer.Context, data_dir: Path | None, tenant: str | None, **own: Any) -> None:  # noqa: ANN401
        own.pop("as_json")
        session = Session.of(context.obj).under(data_dir, tenant)
        try:
            function(session, **own)
        except KeyboardInterrupt as error:
            raise Interrupted from error
        finally:
            session.close()

    common = inspect.signature(group_options, eval_str=True).parameters
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    parameters = [common["context"], *own, common["as_json"], common["data_dir"], common["tenant"]]
    # Typer reads a command's options off its signature, and the types off its annotations.
    in_order = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = inspect.Signature(in_order)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in in_order}
    return run
