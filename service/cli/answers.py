"""`holotype classify | evaluate`: answers, and how good they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from service.cli.failures import FAILED
from service.cli.options import CatalogueName, command
from service.cli.output import pairs, table, told_apart, told_changes, whole_counts
from service.cli.progress import stages
from service.cli.session import Session
from service.cli.telling import told_of
from service.errors import InvalidInput

app = typer.Typer()

MaxErrorOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", help="Error to accept among accepted answers, 0.01 for 1 %; the others are rejected.",
        show_default=False,
    ),
]  # fmt: skip


@command(app, "classify")
def classify(
    session: Session,
    name: CatalogueName,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="JPEG, PNG or WebP files.", show_default=False)
    ],
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many labels to name.")] = 5,
    max_error: MaxErrorOption = None,
) -> None:
    """Name each picture's class.

    The answer comes with its confidence and the references that the picture resembles.

    Example: holotype classify groceries new/*.jpg --top 3
    """
    refused: dict[Path, dict[str, Any]] = {}
    batches = _read_in_batches(pictures, session.settings.chunk_images, refused)
    found = session.backend.classify(name, batches, top=top, max_error=max_error)
    answers = iter([answer for some in found for answer in some])
    results = [refused[path] if path in refused else next(answers) for path in pictures]
    session.output.result(results, *_answer_tables(results))
    if all("error" in result for result in results):
        raise typer.Exit(FAILED)


def _read_in_batches(
    pictures: Sequence[Path], size: int, refused: dict[Path, dict[str, Any]]
) -> Iterator[list[tuple[str, bytes]]]:
    """Read as they are worked on: memory holds one batch, however many are named. Fills `refused`."""
    for start in range(0, len(pictures), size):
        unreadable, read = read_files(pictures[start : start + size])
        refused.update(unreadable)
        yield read


def read_files(pictures: Sequence[Path]) -> tuple[dict[Path, dict[str, Any]], list[tuple[str, bytes]]]:
    """The answer for those that cannot be read, and the bytes of the others in order."""
    from service.usecases.files import read_file

    refused: dict[Path, dict[str, Any]] = {}
    read: list[tuple[str, bytes]] = []
    for path in pictures:
        if path.is_dir():
            refused[path] = {"path": str(path), "error": f"is a folder: name pictures, e.g. {path}/*.jpg"}
            continue
        try:
            read.append((str(path), read_file(path)))
        except InvalidInput as error:
            refused[path] = {"path": str(path), "error": error.message}
    return refused, read


def _answer_tables(results: Sequence[Mapping[str, Any]]) -> list[Table | str]:
    answers = [one for one in results if "error" not in one]
    rows = [(one["path"], _named(one), one["confidence"], one["margin"], _resembles(one)) for one in answers]
    said: list[Table | str] = []
    if rows:
        said.append(table("Answers", ("picture", "label", "confidence#", "margin#", "most like"), rows))
    refused = [(one["path"], one["error"]) for one in results if "error" in one]
    if refused:
        said.append(table("No answer", ("picture", "why"), refused))
    return [*said, *sorted({note for one in answers for note in one.get("notes", ())})]


def _named(answer: Mapping[str, Any]) -> str:
    """The label, or why there is none: confidence is of known classes, so it may be high all the same."""
    if (why := answer["rejected"]) is None:
        return str(answer["label"])
    trust, needed = told_apart(why["trust"], why["needed"])
    return f"rejected: {why['reason']} (trust {trust}, {needed} needed)"


def _resembles(answer: Mapping[str, Any]) -> str:
    nearest = answer["neighbours"][:1]
    return "".join(f"{one['source']} ({one['label']}, {one['similarity']:.3f})" for one in nearest)


@command(app, "evaluate")
def evaluate(
    session: Session,
    name: CatalogueName,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="One folder a class; without it the stored figures.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.", show_default=False)
    ] = None,
    max_error: MaxErrorOption = None,
) -> None:
    """Judge the answers on new pictures, or show the stored figures.

    With FOLDER only pictures that the catalogue does not hold are judged; the others are counted as skipped.

    Example: holotype evaluate groceries new/ --html report.html
    """
    from service.bootstrap import report_writer

    if html is not None:
        report_writer().check(html)
    with stages() as on_progress:
        evaluation = session.backend.evaluate(name, folder, max_error=max_error, html=html, on_progress=on_progress)
    if html is not None:
        session.output.note(f"report: {html}")
    session.output.result(evaluation, *_evaluation_tables(evaluation))


TRUST_FIGURES = ("ece", "auroc", "fpr95", "raw_auroc", "raw_fpr95")
REJECTION = {
    "promised": "With rejection, as measured by the optimisation",
    "realised": "With rejection, on these pictures",
}


def _evaluation_tables(evaluation: Mapping[str, Any]) -> list[Table | str]:
    figures = {"images": evaluation.get("images")}
    if figures["images"]:
        measured = ("accuracy", "interval", "macro_f1", "weighted_f1", "top5")
        figures |= {key: evaluation.get(key) for key in measured}
    sizes = {key: evaluation.get(key) for key in ("references", "support", "skipped")}
    if evaluation.get("changed"):
        sizes["changed"] = told_changes(evaluation["changed"])
    sizes |= {key: evaluation[key] for key in TRUST_FIGURES if key in evaluation}
    said: list[Table | str] = [
        pairs(f"Measured on {evaluation.get('measured_on')}", {**figures, **whole_counts(sizes)})
    ]
    said += [pairs(title, evaluation[key]) for key, title in REJECTION.items() if key in evaluation]
    columns = ("label", "precision#", "recall#", "f1#", "images#")
    rows = [
        (label, one["precision"], one["recall"], one["f1"], one["images"])
        for label, one in sorted((evaluation.get("per_class") or {}).items())
    ]
    if rows:
        said.append(table("By class", columns, rows))
    panel = evaluation.get("panel") or {}
    if panel:
        names = ("accuracy", "macro_f1", "weighted_f1", "references")
        members = [(member, *(whole_counts(one).get(column) for column in names)) for member, one in panel.items()]
        title = f"Panel on {evaluation.get('panel_measured_on')}: all but raw behind the same head and pull"
        said.append(table(title, ("references are", *(f"{column}#" for column in names)), members))
    return [*said, *told_of(evaluation)]
