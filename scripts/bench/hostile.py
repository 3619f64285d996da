"""Runs tests/hostile, as long as is asked, and writes what was counted."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.bench.tables import write_section

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Exit code of the tests."""
    parser = argparse.ArgumentParser(prog="scripts/bench_hostile", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="hostile files that are decoded (10000)")
    parser.add_argument("--steps", type=int, default=160, help="steps of several tenants, about (160)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other files and other steps (1)")
    parser.add_argument("--json", type=Path, help="file for the counts")
    parser.add_argument("--readme", action="store_true", help="write the counts into the README")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.json"
        asked = {"HOSTILE_FILES": options.files, "HOSTILE_STEPS": options.steps, "HOSTILE_SEED": options.seed}
        env = {**os.environ, **{name: str(value) for name, value in asked.items()}, "HOSTILE_JSON": str(counts)}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/hostile"]
        done = subprocess.run(command, cwd=ROOT, env=env, check=False)
        if done.returncode:
            return done.returncode
        found = json.loads(counts.read_text())
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    if options.readme:
        write_section(ROOT / "README.md", "hostile", table(found))
    return 0


def table(found: dict[str, int]) -> str:
    """Markdown."""
    taken, refused = found["hostile_files_taken"], found["hostile_files_refused"]
    steps = f"{found['tenant_steps']}, of which {found['tenant_attacks']} at what is another's: nothing read, counted, "
    rows = [
        (
            "hostile files given to the service's decoder",
            f"{found['hostile_files']}: {taken} taken, {refused} refused with a sentence",
        ),
        (
            "most memory that one took of its decoder process",
            f"{found['hostile_peak_mb']} MB; the limit is {found['hostile_cap_mb']} MB",
        ),
        ("decoder processes that it took: one, unless files end them", str(found["hostile_decoders"])),
        (
            "good pictures among hostile ones",
            f"{found['hostile_neighbours_stored']} among {found['hostile_files_ingested']}, all stored",
        ),
        ("steps of three tenants, all others compared after each", f"{steps}changed or told"),
    ]
    return "\n".join(
        ["| what was tried | what came of it |", "|---|---|", *(f"| {one} | {told} |" for one, told in rows)]
    )


if __name__ == "__main__":
    sys.exit(main())
