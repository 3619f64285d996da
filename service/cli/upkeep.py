"""`holotype verify-store`: do rows, points and bytes agree? For all tenants, where the data are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.failures import FAILED
from service.cli.options import command
from service.cli.output import pairs, table
from service.cli.progress import stages
from service.cli.session import Session

if TYPE_CHECKING:
    from service.usecases.store_findings import Finding
    from service.usecases.verify_store import StoreReport

app = typer.Typer(no_args_is_help=True)

COLUMNS = ("tenant", "catalogue", "kind", "count#", "means", "mended")


@command(app, "verify-store")
def verify_store(
    session: Session,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.", show_default=False)] = False,
) -> None:
    """Compare rows, points, bytes, flags and hashes of all tenants.

    On a data directory nobody else may be at work; with servers others may go on. Exit code 1 where anything is left
    that is wrong.

    Example: holotype verify-store --repair
    """
    from service.usecases.verify_store import verify_store

    session.refuse_server("a store is verified where its data are")
    with session.open() as context, stages() as on_progress:
        report = verify_store(context, mend=repair, alone=not session.settings.distributed, on_progress=on_progress)
    _tell(session, report)
    if report.left:
        raise typer.Exit(FAILED)


def _tell(session: Session, report: StoreReport) -> None:
    looked = {"tenants": report.tenants, "catalogues": report.catalogues, "examples": report.examples}
    left = {_name(one) for one in report.left}
    rows = [
        (
            one.tenant,
            one.catalogue or "-",
            one.kind.value,
            len(one.names),
            one.as_dict()["means"],
            _name(one) not in left,
        )
        for one in report.found
    ]
    said = table("What is wrong", COLUMNS, rows) if rows else "rows, points, bytes, flags and hashes agree"
    session.output.result(report.as_dict(), pairs("Looked at", looked), said)


def _name(finding: Finding) -> tuple[str, str, str]:
    return finding.tenant, finding.catalogue, finding.kind.value
