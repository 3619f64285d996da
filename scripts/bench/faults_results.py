"""Figures of a fault run: counted, written as JSON after every fault, read back, and told in the README."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench.faults_run import KINDS, Round
from scripts.bench.machine import machine, versions

PROBES = ("probes", "probes_strict", "probes_unanswered")


@dataclass(slots=True)
class Results:
    """Rounds of one or several runs, how often was asked meanwhile, and what was skipped."""

    rounds: list[Round] = field(default_factory=list)
    probes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROBES, 0))
    skipped: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)

    def add(self, other: Results) -> None:
        """Count another one along."""
        self.rounds += other.rounds
        self.probes = {name: count + other.probes[name] for name, count in self.probes.items()}
        self.skipped += [sentence for sentence in other.skipped if sentence not in self.skipped]
        self.seeds += [seed for seed in other.seeds if seed not in self.seeds]

    @property
    def figures(self) -> dict[str, float]:
        """By the names that all results have; counts, and seconds."""
        return figures_of(self.rounds, self.probes)


def figures_of(rounds: Sequence[Round], probes: Mapping[str, int]) -> dict[str, float]:
    """By the names that all results have; counts, and seconds."""
    found = {name: sum(len(one.found[name]) for one in rounds) for name in KINDS}
    recoveries = sorted(one.recovery_s for one in rounds)
    figures: dict[str, float] = {"faults.injected": sum(one.detail is not None for one in rounds)}
    figures |= {f"faults.{name}": count for name, count in (found | dict(probes)).items()}
    figures["faults.recovery_s_max"] = round(recoveries[-1], 1) if recoveries else 0.0
    figures["faults.recovery_s_median"] = round(recoveries[len(recoveries) // 2], 1) if recoveries else 0.0
    return figures


def write_results(path: Path, results: Results, *, quick: bool) -> None:
    """Whole or not at all: it is written again after every fault."""
    value: dict[str, Any] = {
        "benchmark": "faults",
        "seeds": results.seeds,
        "quick": quick,
        "machine": machine(),
        "versions": versions(),
        "figures": results.figures,
        "skipped": results.skipped,
        "rounds": [
            {
                "fault": one.fault,
                "detail": one.detail,
                "operations": one.operations,
                "recovery_s": round(one.recovery_s, 1),
                "found": one.found,
            }
            for one in results.rounds
        ],
    }
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(json.dumps(value, indent=1) + "\n")
    unfinished.replace(path)


def read_results(path: Path) -> Results:
    """What `write_results` wrote."""
    value = json.loads(path.read_text())
    rounds = [Round(number, **one) for number, one in enumerate(value["rounds"], 1)]
    probes = {name: int(value["figures"][f"faults.{name}"]) for name in PROBES}
    return Results(rounds, probes, value["skipped"], value["seeds"])


def readme_section(results: Results) -> str:
    """The reliability table: what was done to it, and what came of it."""
    figures, host = results.figures, machine()
    kinds = len({one.fault for one in results.rounds})
    told = (
        f"{kinds} kinds of faults on SQLite and PostgreSQL, seeds {', '.join(map(str, results.seeds))}; "
        f"{host['cores']} cores of {host['processor']}, shared with other work. Recovery counts from the end of the "
        "fault until every accepted job has ended and everything was found in order."
    )
    rows = {
        "faults": f"{figures['faults.injected']:.0f}",
        "pictures lost": f"{figures['faults.lost']:.0f}",
        "doubled": f"{figures['faults.doubled']:.0f}",
        "torn (rows, points and flags that disagree; answers of two selections)": f"{figures['faults.torn']:.0f}",
        "orphans (points, bytes, processes)": f"{figures['faults.orphans']:.0f}",
        "not at rest when nothing had moved for two minutes": f"{figures['faults.unrest']:.0f}",
        "answers whose references and similarities were compared with brute force meanwhile; their label, too": (
            f"{figures['faults.probes']:.0f}; {figures['faults.probes_strict']:.0f}"
        ),
        "recovery, median and longest": (
            f"{figures['faults.recovery_s_median']:.1f} s, {figures['faults.recovery_s_max']:.1f} s"
        ),
    }
    return "\n".join([told, "", "| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())])
