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
from scripts.bench.api_tables import COLUMNS, rows, written
from tests.processes import ROOT


def test_quantiles_and_rates_are_those_of_the_requests():
    figures = Load(np.arange(1, 101) / 1000, 4.0).figures("idle.clients8")
    assert figures["idle.clients8.requests_per_s"] == 25
    assert figures["idle.clients8.p50_ms"] == pytest.approx(50.5)
    assert figures["idle.clients8.p99_ms"] == pytest.approx(99.01)


def test_rows_tell_the_share_of_the_bare_pass_around_them():
    figures = {"bare.prepare_ms": 2.0}
    for state, rate in (("idle", 40.0), ("ingest", 20.0)):
        figures |= Load(np.full(10, 0.1), 10 / rate).figures(f"{state}.clients1")
        figures |= Load(np.full(10, 0.1), 10 / rate).figures(f"{state}.clients8")
        figures |= {f"{state}.clients1.bare_per_s": 50.0, f"{state}.clients8.bare_per_s": 80.0}
        figures |= {f"{state}.clients{clients}.ingested_per_s": 5.0 for clients in (1, 8) if state == "ingest"}
    told = rows(figures, (1, 8))
    assert [row[:5] for row in told] == [
        ("1", "no", "40.0", "50.0", "0.80"),
        ("8", "no", "40.0", "80.0", "0.50"),
        ("1", "yes", "20.0", "50.0", "0.40"),
        ("8", "yes", "20.0", "80.0", "0.25"),
    ]
    assert {len(row) for row in told} == {len(COLUMNS)}
    result = {
        "encoder": "pixel", "seconds": 3.0, "machine": {"cores": 2, "processor": "one"}, "versions": {"torch": "2"},
        "figures": figures,
    }  # fmt: skip
    section = written(result, (1, 8))
    assert "in batches of as many as there are clients, at most 8;" in section
    assert "| 8 | yes | 20.0 | 80.0 | 0.25 | 100 | 100 | 100 | 5.0 |" in section


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
            assert figures[f"{prefix}.bare_per_s"] > 0
    assert all(math.isfinite(value) for value in figures.values())
    assert (result["benchmark"], result["encoder"]) == ("api", "pixel")
    assert "Classify, one picture a request" in done.stdout
