"""The benchmark of an ingest, run for a moment with the encoder that needs no weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from scripts.bench.embed import as_figures, copied, pipelined, trial_figures
from scripts.bench.embed_others import BATCH, picture_operations, product_operations
from scripts.bench.tables import write_results
from service.adapters.encoder_pixel import PixelEncoder
from service.ports import FormTrial
from tests.adapters import networks
from tests.adapters.pictures import as_file, noise
from tests.processes import ROOT


def test_ratios_are_of_speeds():
    figures = as_figures({"ingest": 4.0, "pipeline": 3.0, "forward": 2.0, "onnxruntime": 8.0}, 12)
    assert figures == {
        "ingest.images": 12, "ingest.images_per_s": 3, "pipeline.images_per_s": 4, "forward.images_per_s": 6,
        "onnxruntime.images_per_s": 1.5, "ingest.ratio_to_pipeline": 0.75, "ingest.ratio_to_forward": 0.5,
        "ingest.ratio_to_onnxruntime": 2,
    }  # fmt: skip


def test_what_an_ingest_costs_anyway_and_what_the_processor_allows():
    seconds = {
        "ingest": 4.0, "forward": 3.0, "limit": 1.5, "ingest_one": 0.5, "pipeline_one": 0.125, "product_float32": 2.0,
        "product_bfloat16": 1.0,
    }  # fmt: skip
    figures = as_figures(seconds, 12)
    assert figures["ingest.start_s"] == 0.375
    assert figures["limit.images_per_s"] == 8
    assert figures["ingest.ratio_to_limit"] == 0.375
    assert figures["forward.ratio_to_limit"] == 0.5
    assert figures["limit.bfloat16_gflops"] == 2 * figures["limit.float32_gflops"] == product_operations() / 1e9


def test_operations_are_those_of_the_products(tmp_path):
    folder = networks.write_folder(tmp_path, networks.VIT)
    tokens, width, inner, layers = 17, 32, 48, 2
    patches = 16 * 3 * 8 * 8 * width
    linear = tokens * (4 * width * width + 2 * width * inner)
    attention = 2 * tokens * tokens * width
    counted = picture_operations(folder, f"{folder}?pooling=mean", (3, 32, 32))
    assert counted == pytest.approx(2 * (patches + layers * (linear + attention)), rel=0.01)


def test_forms_that_could_not_be_tried_have_no_figure():
    trials = [FormTrial(form="bfloat16 compiled", images_per_s=9.0, agreement=0.9999), FormTrial(form="x", note="no")]
    assert trial_figures(trials) == {
        "form.bfloat16_compiled.images_per_s": 9.0, "form.bfloat16_compiled.agreement": 0.9999,
    }  # fmt: skip


def picture(seed):
    return as_file(Image.fromarray(noise(30, 40, seed=seed)), "JPEG")


@pytest.fixture
def folder(tmp_path):
    for label in "ab":
        (tmp_path / "from" / label).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "from" / label / f"{number}.jpg").write_bytes(picture(number + ord(label)))
    return tmp_path / "from"


def test_the_seed_draws_the_pictures(folder, tmp_path):
    drawn = [copied(folder, tmp_path / f"{n}", 7, seed) for n, seed in enumerate((0, 0, 1))]
    names = [[path.relative_to(tmp_path / f"{n}") for path in one] for n, one in enumerate(drawn)]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 7


@pytest.mark.parametrize("count", [1, BATCH, 2 * BATCH + 3, 5 * BATCH])
def test_the_pipeline_passes_every_picture_once_in_batches(folder, count):
    encoder, batches, lock = PixelEncoder(), [], threading.Lock()
    paths = [path for _ in range(5) for path in sorted(folder.rglob("*.jpg"))][:count]

    def run(batch):
        with lock:
            batches.append(np.stack(batch))

    pipelined(encoder, run, paths, 2)
    assert sum(map(len, batches)) == count
    assert all(len(one) == BATCH for one in batches[:-1])


def test_a_short_run_measures_everything_and_writes_the_readme(folder, tmp_path):
    report = tmp_path / "embed.json"
    command = [sys.executable, "-m", "scripts.bench.embed", "--quick", "--images", "6", "--encoder", "pixel"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--data", str(folder), "--json", str(report)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(report.read_text())
    assert {"benchmark", "seed", "quick", "machine", "versions", "figures"} <= set(result)
    figures = result["figures"]
    assert figures["ingest.images"] == 6
    for name in ("ingest.images_per_s", "ingest.ratio_to_pipeline", "ingest.ratio_to_forward", "start.classify_s"):
        assert figures[name] > 0
    assert figures["ingest.peak_mb"] > 30
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results:embed -->\nstale\n<!-- /results -->\nafter\n")
    write_results(readme, "embed", result)
    written = readme.read_text()
    assert f"| **ingest, folder to searchable** | {figures['ingest.images_per_s']:.1f} | |" in written
    assert "stale" not in written
