"""Is anything lost, doubled or torn when parts of the distributed shape die, stall, lie or forget?

    scripts/bench_faults [--quick] [--seed N] [--faults N] [--database sqlite|postgresql|both]
                         [--json FILE] [--with FILE] [--readme]

Valkey, workers, API, database and a double of Qdrant's server run as processes of their own on this machine; three
tenants ingest (over HTTP and by command), optimise, go back, classify, relabel and delete, at times all references that
serve. Then one part is killed, stalled, cut off or made to lie, and mended. Once all is at rest again every accepted
picture must be there once, in points, rows and bytes alike, flags must be those of what serves, and no answer may have
mixed two selections. Exit code 1 when anything was lost, doubled or torn, or did not come to rest. The JSON is written
anew after every fault, so that a run that is broken off has its figures; with `--with` those of an earlier run are
counted along.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.bench.faults_postgres import why_not
from scripts.bench.faults_processes import NICE
from scripts.bench.faults_results import PROBES, Results, read_results, readme_section, write_results
from scripts.bench.faults_run import KINDS, Round, running, schedule
from scripts.bench.tables import write_section

FULL, QUICK = 200, 20
TOLD = 3
MEMORY = Path("/dev/shm")
README = Path(__file__).parents[2] / "README.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when everything held, else 1."""
    given = _arguments(arguments)
    console = Console(width=150)
    os.nice(max(0, NICE - os.nice(0)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    databases, skipped = _databases(given.database)
    results = Results(skipped=skipped)
    for path in given.counted:
        results.add(read_results(path))
    for place, postgresql in enumerate(databases):
        faults = (given.faults + len(databases) - 1 - place) // len(databases)
        for so_far in _one_database(console, given.seed + place, faults, postgresql=postgresql, kept=given.keep):
            _write(given, results, so_far)
        results.add(so_far)
    _tell(console, results)
    if given.readme:
        write_section(README, "faults", readme_section(results))
    figures = results.figures
    return 1 if any(figures[f"faults.{name}"] for name in ("lost", "doubled", "torn", "unrest")) else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench_faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} faults instead of {FULL}")
    parser.add_argument("--faults", type=int, metavar="N", help="another number; 0: only count what is given")
    parser.add_argument("--seed", type=int, default=0, help="of what happens when")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both", help="of the records")
    parser.add_argument("--keep", action="store_true", help="keep the folders, with the logs of all processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument(
        "--with",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        dest="counted",
        help="an earlier run's figures",
    )
    parser.add_argument("--readme", action="store_true", help="write the table of the README")
    given = parser.parse_args(arguments)
    if given.faults is None:
        given.faults = QUICK if given.quick else FULL
    return given


def _databases(wanted: str) -> tuple[list[bool], list[str]]:
    """Whether on PostgreSQL, for each part of the run; and what is skipped, with the reason."""
    if wanted == "sqlite":
        return [False], []
    reason = why_not()
    if reason is not None:
        if wanted == "postgresql":
            raise SystemExit(f"scripts/bench_faults: {reason}")
        return [False], [f"PostgreSQL: {reason}"]
    return ([True] if wanted == "postgresql" else [False, True]), []


def _one_database(console: Console, seed: int, faults: int, *, postgresql: bool, kept: bool) -> Iterator[Results]:
    """The results so far: before the first fault, and after each."""
    name = "PostgreSQL" if postgresql else "SQLite"
    folder = Path(tempfile.mkdtemp(prefix="holo-faults-", dir=MEMORY if MEMORY.is_dir() else None))
    console.print(f"[bold]{name}[/bold], seed {seed}, {faults} faults, in {folder}")
    results = Results(seeds=[seed])
    yield results
    if not faults:
        return
    try:
        with running(folder, seed, postgresql=postgresql) as run:
            chosen, results.skipped = schedule(run.machine, faults, run.rng)
            for fault in chosen:
                _tell_round(console, run.strike(fault))
                asked = run.prober
                counted = (asked.probes, asked.strict, asked.unanswered)
                results.rounds, results.probes = list(run.rounds), dict(zip(PROBES, counted, strict=True))
                yield results
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _tell_round(console: Console, one: Round) -> None:
    wrong = {name: said for name, said in one.found.items() if said}
    said = ", ".join(f"{len(sentences)} {name}" for name, sentences in wrong.items()) or "all there, once"
    during = ", ".join(one.operations)
    detail = one.detail or "found nothing to strike"
    console.print(
        f"{one.number:4} {one.fault:28} {detail:34} {during:38} {one.recovery_s:6.1f} s  {said}", highlight=False
    )
    for name, sentences in wrong.items():
        for sentence in sentences[:TOLD]:
            console.print(f"       {name}: {sentence}", highlight=False, markup=False, soft_wrap=True)


def _tell(console: Console, results: Results) -> None:
    table = Table("fault", "times", "lost", "doubled", "torn", "orphans", "not at rest", "longest recovery")
    for name in sorted({one.fault for one in results.rounds}):
        same = [one for one in results.rounds if one.fault == name]
        counts = [str(sum(len(one.found[kind]) for one in same)) for kind in KINDS]
        table.add_row(name, str(len(same)), *counts, f"{max(one.recovery_s for one in same):.1f} s")
    console.print(table)
    for name, value in results.figures.items():
        console.print(f"{name}: {value:g}", highlight=False)
    for sentence in results.skipped:
        console.print(f"skipped: {sentence}", highlight=False)


def _write(given: argparse.Namespace, *parts: Results) -> None:
    if given.json is None:
        return
    together = Results()
    for part in parts:
        together.add(part)
    write_results(given.json, together, quick=given.quick)


if __name__ == "__main__":
    sys.exit(main())
