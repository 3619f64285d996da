"""The benchmark of the API, run for a moment with the encoder that needs no weights."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from scripts.bench.api import CLIENTS, Load, digit_pictures
from tests.processes import ROOT


def test_quantiles_and_rates_are_those_of_the_requests():
    figures = Load(np.arange(1, 101) / 1000, 4.0).figures("idle.clients8")
    assert figures["idle.clients8.requests_per_s"] == 25
    assert figures["idle.clients8.p50_ms"] == pytest.approx(50.5)
    assert figures["idle.clients8.p99_ms"] == pytest.approx(99.01)


def test_no_two_pictures_are_the_same():
    made = [data for seed in (0, 1) for _, data in digit_pictures(40, seed)]
    assert len(set(made)) == 80
    assert {label for label, _ in digit_pictures(10, 0)} == set("0123456789")


def test_a_short_run_measures_everything_over_http(tmp_path):
    report = tmp_path / "api.json"
    command = [sys.executable, "-m", "scripts.bench.api", "--quick", "--encoder", "pixel", "--seconds", "2"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--json", str(report)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(report.read_text())
    figures = result["figures"]
    for clients in CLIENTS:
        for state in ("idle", "ingest"):
            prefix = f"{state}.clients{clients}"
            assert figures[f"{prefix}.requests"] >= 1
            assert 0 < figures[f"{prefix}.p50_ms"] <= figures[f"{prefix}.p95_ms"] <= figures[f"{prefix}.p99_ms"]
    assert figures["bare.batch1.images_per_s"] > 0
    assert all(math.isfinite(value) for value in figures.values())
    assert (result["benchmark"], result["encoder"]) == ("api", "pixel")
    assert "Classify, one picture a request" in done.stdout
