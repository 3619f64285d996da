"""The main job, shown: ingest, optimise, publish, and classify pictures that took no part.

scripts/demo                     scikit-learn's handwritten digits, written out as PNG files
scripts/demo --images FOLDER     your own pictures, one folder a class
scripts/demo --quick             at most 300 pictures and fewer trials

A fifth of every class is set aside first and never shown to the catalogue: it judges. The rest is handed over twice:
with its labels as they are, and with 20 % of them wrong. Everything stays in the folder .demo, so a second run embeds
nothing again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from scripts.bench.pictures import MissingDataError, Pictures, folder_pictures, write_digits
from service.adapters.images import PillowDecoder
from service.bootstrap import open_context, report_writer
from service.cli.progress import stages
from service.core.duplicates import near_duplicate_groups
from service.errors import HolotypeError, ImageRejected
from service.settings import Settings
from service.usecases.context import Context
from service.usecases.evaluate import evaluate_folder, report_data
from service.usecases.ingest import ingest_report, start_ingest
from service.usecases.jobs import wait_for_job
from service.usecases.optimise import start_optimise
from service.usecases.optimise_request import DEFAULT_TRIALS, OptimiseRequest
from workers.embedded import embedded_workers

ROOT = Path(__file__).resolve().parents[1]
HOLDOUT_SHARE = 0.2
WRONG_SHARE = 0.2
SEED = 0
QUICK_PICTURES, QUICK_TRIALS = 300, 12
MEMBERS = {
    "raw": "all, raw embeddings",
    "all": "all references",
    "random": "random, same size",
    "lowest": "lowest centrality",
    "holotype": "Holotype",
}


@dataclass(frozen=True)
class Material:
    """The demo's files: two manifests to ingest, and a folder that judges."""

    key: str
    clean: Path
    noisy: Path
    holdout: Path
    pictures: int


def choose(pictures: Pictures, most: int | None) -> Pictures:
    """At most `most` pictures, evenly over the classes; the same ones every time."""
    if most is None or len(pictures.paths) <= most:
        return pictures
    classes = len(set(pictures.labels))
    each = max(5, most // classes)
    seen: dict[str, int] = {}
    kept = []
    for row in sorted(
        range(len(pictures.paths)), key=lambda row: hashlib.sha256(pictures.paths[row].name.encode()).digest()
    ):
        label = pictures.labels[row]
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= each:
            kept.append(row)
    kept.sort()
    return Pictures(
        pictures.name, tuple(pictures.paths[row] for row in kept), tuple(pictures.labels[row] for row in kept)
    )


def look_alikes(pictures: Pictures) -> np.ndarray:
    """A group for every picture: those of a class whose perceptual hashes are near go together.

    Stricter than the product, which also asks the embeddings: they are not known yet, and a burst must not straddle.
    """
    decoder = PillowDecoder()
    hashes = []
    for row, path in enumerate(track(pictures.paths, "looking for bursts", console=Console(stderr=True))):
        try:
            hashes.append(decoder.decode(path.read_bytes(), 64).perceptual_hash)
        except ImageRejected:
            hashes.append(f"{row:016x}")  # ingest will say why it cannot be used
    codes = np.unique(pictures.labels, return_inverse=True)[1].astype(np.int64)
    return near_duplicate_groups(hashes, np.ones((len(codes), 1), dtype=np.float32), codes)


def set_aside(labels: tuple[str, ...], groups: np.ndarray) -> np.ndarray:
    """Mask of the holdout: a fifth of every class of two pictures or more, groups whole."""
    random = np.random.default_rng(SEED)
    names = np.array(labels)
    holdout = np.zeros(len(names), dtype=bool)
    for label in sorted(set(labels)):
        own = random.permutation(np.unique(groups[names == label]))
        if len(own) > 1:
            chosen = own[: max(1, round(HOLDOUT_SHARE * len(own)))]
            holdout |= (names == label) & np.isin(groups, chosen)
    return holdout


def wrong_labels(labels: list[str]) -> list[str]:
    """The labels with a fifth of them replaced by another class."""
    random = np.random.default_rng(SEED + 1)
    classes = sorted(set(labels))
    if len(classes) < 2:
        return labels
    wrong = list(labels)
    for row in random.choice(len(labels), round(WRONG_SHARE * len(labels)), replace=False):
        wrong[row] = random.choice([label for label in classes if label != labels[row]])
    return wrong


def prepare(pictures: Pictures, work: Path) -> Material:
    """Lay the manifests and the holdout folder out, anew every time."""
    contents = (f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in pictures.paths)
    key = hashlib.sha256("\n".join(contents).encode()).hexdigest()[:8]
    folder = work / f"pictures-{key}"
    shutil.rmtree(folder, ignore_errors=True)
    holdout = set_aside(pictures.labels, look_alikes(pictures))
    for row in np.flatnonzero(holdout):
        target = folder / "holdout" / pictures.labels[row] / pictures.paths[row].name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(pictures.paths[row], target)
        except OSError:
            shutil.copy2(pictures.paths[row], target)
    kept = np.flatnonzero(~holdout)
    paths, labels = [pictures.paths[row] for row in kept], [pictures.labels[row] for row in kept]
    manifests = []
    for name, given in (("clean", labels), ("wrong", wrong_labels(labels))):
        manifest = folder / f"{name}.csv"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        with manifest.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [("path", "label"), *((str(p), label) for p, label in zip(paths, given, strict=True))]
            )
        manifests.append(manifest)
    return Material(key, *manifests, folder / "holdout", len(pictures.paths))


def run(context: Context, tenant: str, name: str, manifest: Path, holdout: Path, trials: int) -> dict[str, Any]:
    """Ingest, optimise, publish, classify the holdout; what was measured."""
    with stages() as on_progress:
        job = start_ingest(
            context,
            tenant,
            name,
            manifest,
            split="auto",
            label=None,
            encoder=Settings().encoder,
            on_progress=on_progress,
        )
        wait_for_job(context, job.id, on_progress)
        report = ingest_report(context, job.id)
    print(
        f"  stored {report['stored']}, duplicate {report['duplicate']}, conflict {report['conflict']}, "
        f"failed {report['failed']}; {report['images_per_s']} images/s"
    )
    with stages() as on_progress:
        job = start_optimise(context, tenant, name, OptimiseRequest(trials=trials, seed=SEED))
        result = wait_for_job(context, job.id, on_progress).result or {}
        print(f"  {result['why']}")
        evaluation = evaluate_folder(context, tenant, name, holdout, on_progress)
    return {**evaluation, "catalogue": name}


def show(console: Console, title: str, evaluation: Mapping[str, Any]) -> None:
    """The table of the panel on the holdout."""
    low, high = (100 * bound for bound in evaluation["interval"])
    table = Table(
        title=title,
        caption=f"{evaluation['images']} pictures that took no part; Holotype's 95 % interval {low:.1f} to {high:.1f}; "
        "all but the first behind the same head and pull",
    )
    for column in ("references are", "accuracy", "macro F1", "weighted F1", "references"):
        table.add_column(column, justify="left" if column == "references are" else "right")
    for member, label in MEMBERS.items():
        figures = evaluation["panel"][member]
        cells = (f"{100 * figures[name]:.1f}" for name in ("accuracy", "macro_f1", "weighted_f1"))
        style = "bold" if member == "holotype" else ""
        table.add_row(label, *cells, f"{figures['references']:.0f}", style=style)
    console.print(table)


def demonstrate(arguments: argparse.Namespace) -> None:
    """Everything, in order."""
    began = time.monotonic()
    console = Console()
    work = ROOT / ".demo"
    work.mkdir(exist_ok=True)
    found = folder_pictures("images", arguments.images.resolve()) if arguments.images else write_digits(work / "digits")
    if not found.paths:
        raise MissingDataError(
            f"{arguments.images} holds no folder with .jpg, .png or .webp pictures; one folder a class is needed"
        )
    pictures = choose(found, QUICK_PICTURES if arguments.quick else None)
    material = prepare(pictures, work)
    trials = QUICK_TRIALS if arguments.quick else DEFAULT_TRIALS
    settings = Settings(
        data_dir=work / "data", broker_url=None, qdrant_url=None, database_url=None, blob_url=None, log_level="INFO"
    )  # the embedded default, whatever the environment says
    logging.basicConfig(level=logging.WARNING, format="  %(message)s")
    logging.getLogger("service.adapters.logged_encoders").setLevel(logging.INFO)
    print(f"{material.pictures} pictures of {len(set(pictures.labels))} classes; encoder {settings.encoder}")
    evaluations = {}
    with open_context(settings) as context, embedded_workers(context, settings):
        for title, manifest, suffix in (
            ("Labels as they are", material.clean, "clean"),
            ("20 % of the labels handed over wrong", material.noisy, "wrong"),
        ):
            print(f"\n{title}")
            name = f"demo-{material.key}-{suffix}"
            evaluations[title] = run(context, settings.tenant, name, manifest, material.holdout, trials)
        reports = []
        for evaluation, suffix in zip(evaluations.values(), ("clean", "wrong"), strict=True):
            path = work / f"report-{suffix}.html"
            report_writer().write(report_data(context, settings.tenant, evaluation["catalogue"], evaluation), path)
            reports.append(path)
    for title, evaluation in evaluations.items():
        console.print()
        show(console, title, evaluation)
    first = next(iter(evaluations.values()))
    print(f"\ndevice {first['device']}, precision {first['precision']}; {time.monotonic() - began:.0f} s")
    print(f"reports: {reports[0]}  {reports[1]}")
    print(
        f"classify a picture: .venv/bin/holotype --data-dir {settings.data_dir} classify {first['catalogue']} PICTURE"
    )


def main() -> None:
    """Parse, run, and say what is wrong in a sentence."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="your own pictures: FOLDER/class/picture.jpg")
    parser.add_argument(
        "--quick", action="store_true", help=f"at most about {QUICK_PICTURES} pictures, {QUICK_TRIALS} trials"
    )
    try:
        demonstrate(parser.parse_args())
    except (HolotypeError, MissingDataError) as error:
        raise SystemExit(f"scripts/demo: {error}") from error


if __name__ == "__main__":
    main()
