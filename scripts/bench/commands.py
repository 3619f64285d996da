"""A `holotype` command, timed from cold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MEASURING = """
import json, os, resource, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "service.cli.main", *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - began, usage.ru_maxrss]), file=sys.stderr)
"""
"""Starts a command from a small process: the system counts what the starter had resident as the command's, too."""


def command(settings: Settings, arguments: Sequence[str]) -> tuple[float, float]:
    """`holotype ARGUMENTS` in a process of its own: its seconds, and the megabytes that it had at most."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURING, "--data-dir", str(settings.data_dir), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOLOTYPE_ENCODER": settings.encoder},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    told, _, measured = ran.stderr.strip().rpartition("\n")
    code, took, peak = json.loads(measured)
    if code:
        raise RuntimeError(f"holotype {' '.join(arguments)} failed: {told[-500:]}")
    return took, peak / (1024 if sys.platform.startswith("linux") else 1024**2)
