"""`holotype worker | doctor`: the processes, and the machine that they run on."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from service.cli.failures import FAILED
from service.cli.options import command
from service.cli.output import table
from service.cli.session import Session

app = typer.Typer()


@command(app, "worker")
def worker(
    session: Session,
    queue: Annotated[
        Literal["embed", "optimise", "finetune", "maintenance"], typer.Option(help="Kind of work.", show_default=False)
    ],
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Processes; each loads its own encoder.")] = 1,
) -> None:
    """Do one kind of work for all, until a signal ends it.

    Needs HOLOTYPE_BROKER_URL, HOLOTYPE_QDRANT_URL, HOLOTYPE_DATABASE_URL and HOLOTYPE_BLOB_URL. Log on standard error.

    Example: holotype worker --queue embed
    """
    from workers.app import run_worker

    session.refuse_server("a worker does the work of this installation")
    code = run_worker(session.settings, queue, concurrency)
    session.output.result({"queue": queue, "exit": code}, f"the worker of queue {queue} has ended")
    raise typer.Exit(code)


@command(app, "doctor")
def doctor(
    session: Session,
    quick: Annotated[bool, typer.Option("--quick", help="Load no encoder.", show_default=False)] = False,
) -> None:
    """Check the installation and say what to do.

    Versions, data directory, device and precision, processor, encoder, and every server that the settings name.

    Example: holotype doctor
    """
    checks = session.checks(quick=quick)
    state = max((check.state for check in checks), key=("ok", "warn", "fail").index)
    value = {"state": state, "checks": [check.as_dict() for check in checks]}
    rows = [(check.state, check.name, check.found, check.advice) for check in checks]
    session.output.result(value, table("Doctor", ("", "what", "found", "what to do"), rows))
    if state == "fail":
        raise typer.Exit(FAILED)
