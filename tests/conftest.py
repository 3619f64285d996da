"""Fixtures that everybody shares: settings of a data directory of the test's own, and folders of small pictures."""

import json
import os

# Before NumPy or PyTorch are imported: the tests share the cores, several at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.bootstrap import open_context
from service.settings import Settings
from service.usecases.context import Context
from workers.embedded import embedded_workers

PictureFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """A test means the same wherever it runs."""
    for name in os.environ:
        if name.startswith("HOLOTYPE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def data_dir(tmp_path) -> Path:
    """Where a data directory may be made; nothing is there yet."""
    return tmp_path / "data"


@pytest.fixture
def settings(data_dir) -> Settings:
    """The embedded default, with the encoder that needs no weights and chunks so small that there are several."""
    return Settings(data_dir=data_dir, encoder="pixel", chunk_images=8)


@pytest.fixture
def context(settings) -> Iterator[Context]:
    """The wired ports of `settings`, with nobody to do the jobs."""
    with open_context(settings) as opened:
        yield opened


@pytest.fixture
def working_context(context, settings) -> Context:
    """The same with worker threads in this process."""
    with embedded_workers(context, settings):
        yield context


@pytest.fixture
def picture_folder(tmp_path) -> PictureFolder:
    """`picture_folder(classes=4, each=12, seed=0, name="pictures")`: see `write_pictures`."""

    def write(name: str = "pictures", **options) -> Path:
        return write_pictures(tmp_path / name, **options)

    return write


def write_pictures(folder: Path, *, classes: int = 4, each: int = 12, seed: int = 0, noise: int = 40) -> Path:
    """A folder per class, PNG and JPEG by turns, that the `pixel` encoder tells apart.

    A class is a 4 x 4 grid of colours, the same for every `seed`; a picture is that grid with each colour off by up to
    `noise`, so pictures of different seeds are different pictures of the same classes.
    """
    rng = np.random.default_rng(seed)
    for code in range(classes):
        grid = np.random.default_rng(1000 + code).integers(60, 196, (4, 4, 3))
        place = folder / f"class-{code:02}"
        place.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            colours = np.clip(grid + rng.integers(-noise, noise + 1, grid.shape), 0, 255).astype(np.uint8)
            picture = Image.fromarray(colours).resize((48, 40), Image.Resampling.BICUBIC)
            picture.save(place / f"{seed}-{number:04}.{'png' if number % 2 else 'jpg'}", quality=92)
    return folder


def pytest_terminal_summary(terminalreporter):
    """What tests counted (`record_property`), for people, and as JSON in the file that HOSTILE_JSON names."""
    reports = terminalreporter.getreports("passed")
    counted = {name: value for report in reports if report.when == "call" for name, value in report.user_properties}
    if counted:
        terminalreporter.write_sep("-", "counted")
        terminalreporter.write_line(", ".join(f"{name} {value}" for name, value in counted.items()))
    if counted and "HOSTILE_JSON" in os.environ:
        Path(os.environ["HOSTILE_JSON"]).write_text(json.dumps(counted, indent=1, sort_keys=True) + "\n")
