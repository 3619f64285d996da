"""Is anything lost, doubled or torn when parts of the distributed shape die, stall, lie or forget?

    scripts/bench_faults [--quick] [--seed N] [--faults N] [--database sqlite|postgresql|both] [--json FILE]

Valkey, workers, API, database and a double of Qdrant's server run as processes of their own on this machine; three
tenants ingest (over HTTP and by command), optimise, go back, classify, relabel and delete. Then one part is killed,
stalled, cut off or made to lie, and mended. Once all is at rest again every accepted picture must be there once, in
points, rows and bytes alike, flags must be those of what serves, and no answer may have mixed two selections. Exit code
1 when anything was lost, doubled or torn, or did not come to rest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.bench.faults_postgres import why_not
from scripts.bench.faults_processes import NICE
from scripts.bench.faults_run import KINDS, Round, running, schedule
from scripts.bench.machine import machine, versions

FULL, QUICK = 200, 20
TOLD = 3
MEMORY = Path("/dev/shm")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when everything held, else 1."""
    given = _arguments(arguments)
    console = Console(width=150)
    os.nice(max(0, NICE - os.nice(0)))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    databases, skipped = _databases(given.database)
    rounds: list[Round] = []
    probes = {"probes": 0, "probes_strict": 0, "probes_unanswered": 0}
    for place, postgresql in enumerate(databases):
        faults = (given.faults + len(databases) - 1 - place) // len(databases)
        one, said, asked = _one_database(console, given.seed + place, faults, postgresql=postgresql, kept=given.keep)
        rounds += one
        skipped += [sentence for sentence in said if sentence not in skipped]
        probes = {name: count + asked[name] for name, count in probes.items()}
    figures = figures_of(rounds, probes)
    _tell(console, rounds, figures, skipped)
    if given.json is not None:
        _write(given, figures, rounds, skipped)
    return 1 if any(figures[f"faults.{name}"] for name in ("lost", "doubled", "torn", "unrest")) else 0


def figures_of(rounds: Sequence[Round], probes: dict[str, int]) -> dict[str, float]:
    """By the names that all results have; counts, and seconds."""
    found = {name: sum(len(one.found[name]) for one in rounds) for name in KINDS}
    recoveries = sorted(one.recovery_s for one in rounds)
    figures: dict[str, float] = {"faults.injected": sum(one.detail is not None for one in rounds)}
    figures |= {f"faults.{name}": count for name, count in (found | probes).items()}
    figures["faults.recovery_s_max"] = round(recoveries[-1], 1) if recoveries else 0.0
    figures["faults.recovery_s_median"] = round(recoveries[len(recoveries) // 2], 1) if recoveries else 0.0
    return figures


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench_faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} faults instead of {FULL}")
    parser.add_argument("--faults", type=int, metavar="N", help="another number of them")
    parser.add_argument("--seed", type=int, default=0, help="of what happens when")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both", help="of the records")
    parser.add_argument("--keep", action="store_true", help="keep the folders, with the logs of all processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    given = parser.parse_args(arguments)
    given.faults = given.faults or (QUICK if given.quick else FULL)
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


def _one_database(
    console: Console, seed: int, faults: int, *, postgresql: bool, kept: bool
) -> tuple[list[Round], list[str], dict[str, int]]:
    name = "PostgreSQL" if postgresql else "SQLite"
    folder = Path(tempfile.mkdtemp(prefix="holo-faults-", dir=MEMORY if MEMORY.is_dir() else None))
    console.print(f"[bold]{name}[/bold], seed {seed}, {faults} faults, in {folder}")
    try:
        with running(folder, seed, postgresql=postgresql) as run:
            chosen, skipped = schedule(run.machine, faults, run.rng)
            for fault in chosen:
                _tell_round(console, run.strike(fault))
            asked = run.prober
            probes = {"probes": asked.probes, "probes_strict": asked.strict, "probes_unanswered": asked.unanswered}
            return list(run.rounds), skipped, probes
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


def _tell(console: Console, rounds: Sequence[Round], figures: dict[str, float], skipped: Sequence[str]) -> None:
    table = Table("fault", "times", "lost", "doubled", "torn", "orphans", "not at rest", "longest recovery")
    for name in sorted({one.fault for one in rounds}):
        same = [one for one in rounds if one.fault == name]
        counts = [str(sum(len(one.found[kind]) for one in same)) for kind in KINDS]
        table.add_row(name, str(len(same)), *counts, f"{max(one.recovery_s for one in same):.1f} s")
    console.print(table)
    for name, value in figures.items():
        console.print(f"{name}: {value:g}", highlight=False)
    for sentence in skipped:
        console.print(f"skipped: {sentence}", highlight=False)


def _write(
    given: argparse.Namespace, figures: dict[str, float], rounds: Sequence[Round], skipped: Sequence[str]
) -> None:
    value: dict[str, Any] = {
        "benchmark": "faults",
        "seed": given.seed,
        "quick": given.quick,
        "machine": machine(),
        "versions": versions(),
        "figures": figures,
        "skipped": list(skipped),
        "rounds": [
            {
                "fault": one.fault,
                "detail": one.detail,
                "operations": one.operations,
                "recovery_s": round(one.recovery_s, 1),
                "found": one.found,
            }
            for one in rounds
        ],
    }
    given.json.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
