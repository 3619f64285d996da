"""`holotype key create | list | revoke`: keys, on the data directory or the database; the way in where all are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.options import command, group_options
from service.cli.output import table
from service.cli.session import Session
from service.errors import InvalidInput, quoted

if TYPE_CHECKING:
    from service.records import ApiKey, Scope

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of the HTTP API.", callback=group_options)

COLUMNS = ("id", "name", "scopes", "works", "replaced_by")


@command(app, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.", show_default=False)],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, write or admin; give it once for each.", metavar="SCOPE", show_default=False),
    ] = None,
) -> None:
    """Make a key of the tenant, and show it this once.

    It works on the data directory or the database, never over HTTP, and so needs no key. Where the admin key was lost:
    end the server (with a data directory of its own), make another, start the server again.

    Example: holotype key create mine --scope read --scope write --scope admin
    """
    from service.usecases.keys import create_key_of_any

    scopes = _scopes(scope or [])
    _refuse_server(session)
    with session.open() as context:
        made = create_key_of_any(context, session.tenant, name, scopes)
        value = {**_shown(made.key, context.clock()), "key": made.credential}
    told = f"key {made.key.id} of tenant {session.tenant} ({', '.join(value['scopes'])}), shown this once:"
    session.output.result(value, told, made.credential)


@command(app, "list")
def list_all(session: Session) -> None:
    """List the tenant's keys, oldest first, with those that ended.

    Example: holotype key list --tenant acme
    """
    from service.usecases.keys import list_keys

    _refuse_server(session)
    with session.open() as context:
        found = [_shown(one, context.clock()) for one in list_keys(context, session.tenant)]
    rows = [[one[column] for column in COLUMNS] for one in found]
    session.output.result(found, table(f"Keys of {session.tenant}", COLUMNS, rows))


@command(app, "revoke")
def revoke(
    session: Session,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.", show_default=False)],
) -> None:
    """End a key now. The last one with scope admin stays until another is made.

    Example: holotype key revoke 0123456789abcdef --tenant acme
    """
    from service.usecases.keys import revoke_key

    _refuse_server(session)
    with session.open() as context:
        ended = _shown(revoke_key(context, session.tenant, key), context.clock())
    session.output.result(ended, f"key {key} does not work any more")


def _refuse_server(session: Session) -> None:
    session.refuse_server("keys are made where the database is")


def _scopes(given: list[str]) -> list[Scope]:
    """Raises InvalidInput for none and for one that is unknown."""
    from service.records import Scope

    known = [scope.value for scope in Scope]
    unknown = [scope for scope in given if scope not in known]
    if unknown or not given:
        said = f"there is no scope {quoted(unknown[0])}" if unknown else "a key needs a scope"
        raise InvalidInput(f"{said}: give --scope {', --scope '.join(known)}, or several of them", scopes=known)
    return [Scope(scope) for scope in given]


def _shown(key: ApiKey, now: float) -> dict[str, Any]:
    from service.usecases.keys import works

    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "works": works(key, now),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "replaced_by": key.replaced_by,
    }
