"""`holotype optimise | selections | activate`: choose the references, list the choices, move between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from service.cli.options import CatalogueName, command
from service.cli.output import pairs, table, whole_counts
from service.cli.progress import stages
from service.cli.session import Session
from service.cli.telling import told_of

app = typer.Typer()

DEFAULT_TRIALS = 40
DEFAULT_NEIGHBOURS = 7
"""As `OptimiseRequest` has them, which is imported with the numeric core only when it is used."""

LEFT_TO_JSON = {"figures", "created_at", "state"}


@command(app, "optimise")
def optimise(
    session: Session,
    name: CatalogueName,
    budget: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Most references a class; 30 % of the class where left out.", show_default=False
        ),
    ] = None,
    metric: Annotated[Literal["accuracy", "macro_f1"], typer.Option(help="What the choice maximises.")] = "accuracy",
    strategy: Annotated[
        Literal["thresholds", "medoids", "all", "auto"],
        typer.Option(help="How references are chosen; auto tries each."),
    ] = "auto",
    head: Annotated[
        Literal["none", "pca", "lda", "within", "proxy", "triplet", "contrastive", "centre", "auto"],
        typer.Option(help="The map in front of the search; auto tries the closed-form ones and proxies."),
    ] = "auto",
    vote: Annotated[
        Literal["best", "nearest", "knn", "auto"],
        typer.Option(help="A class's score: mean of its best similarities, the nearest, weighted k-NN votes; or each."),
    ] = "best",
    neighbours: Annotated[int, typer.Option(min=1, metavar="K", help="Voters of --vote knn.")] = DEFAULT_NEIGHBOURS,
    search: Annotated[
        Literal["sweep", "thresholds"],
        typer.Option(help="How thresholds are found: exact sweep, or each a parameter of the Bayesian search."),
    ] = "sweep",
    rejection: Annotated[
        Literal["shared", "class"],
        typer.Option(help="The trust that --max-error needs: shared by all classes, or each class its own."),
    ] = "shared",
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="Trials of the Bayesian search.")] = DEFAULT_TRIALS,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of every random choice.")] = 0,
    no_refit: Annotated[
        bool,
        typer.Option("--no-refit", help="Serve the judged references, not all pictures' best.", show_default=False),
    ] = False,
) -> None:
    """Choose the references that serve.

    They are judged on the holdout, against all references behind the same head, and serve if they pass.

    Example: holotype optimise groceries --budget 8 --seed 1
    """
    request = {
        "budget": budget,
        "metric": metric,
        "strategy": strategy,
        "head": head,
        "vote": vote,
        "neighbours": neighbours,
        "search": search,
        "rejection": rejection,
        "trials": trials,
        "seed": seed,
        "refit": not no_refit,
    }
    with stages() as on_progress:
        result = session.backend.optimise(name, request, on_progress)
    session.output.result(result, *selection_tables(result))


@command(app, "selections")
def selections(session: Session, name: CatalogueName) -> None:
    """List a catalogue's selections, newest first.

    Example: holotype selections groceries
    """
    found = session.backend.selections(name)
    rows = [
        (
            one["selection"],
            one["activated"],
            one["strategy"],
            one["head"],
            one["references"],
            one["figures"].get("accuracy"),
        )
        for one in found
    ]
    columns = ("selection", "serves", "strategy", "head", "references#", "accuracy#")
    session.output.result(found, table(f"Selections of {name}", columns, rows))


@command(app, "activate")
def activate(
    session: Session,
    name: CatalogueName,
    selection: Annotated[str, typer.Argument(metavar="SELECTION", help="Id of the selection.", show_default=False)],
) -> None:
    """Let another selection serve: forward or back.

    Example: holotype activate groceries 0b8f6a52-1df5-4b3f-9d0e-6f2d3a3c7b11
    """
    result = session.backend.activate(name, selection)
    session.output.result(result, *selection_tables(result))


def selection_tables(selection: Mapping[str, Any]) -> list[Table | str]:
    """A selection for people: what it is, and the figures that it was judged by."""
    figures = selection.get("figures") or {}
    head = {key: value for key, value in selection.items() if key not in LEFT_TO_JSON}
    numbers = {key: value for key, value in figures.items() if isinstance(value, (int, float)) or _is_interval(value)}
    said: list[Table | str] = [pairs("Selection", head)]
    if numbers:
        said.append(pairs(f"Measured on {selection.get('measured_on', '-')}", whole_counts(numbers)))
    return [*said, *told_of(figures)]


def _is_interval(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2
