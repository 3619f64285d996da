"""After a power cut the folders of a data directory may be of different moments. Shown by putting an earlier one back.

What was written since its last flush is gone from the vector store, or from the records; the other side has it. The
next owner compares all, and what was acknowledged and is in the records answers again.
"""

from __future__ import annotations

import shutil

import pytest

from service.bootstrap import DATABASE_FILE, VECTORS_FOLDER, open_context
from service.ports import Sweep
from service.usecases.classify import classify
from service.usecases.context import partition_of
from service.usecases.ingest import ingest_report, start_ingest
from service.usecases.jobs import wait_for_job
from service.usecases.optimise import start_optimise
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.verify_store import verify_store
from tests.conftest import write_pictures
from workers.embedded import embedded_workers
from workers.tasks import carry_out


@pytest.fixture
def pictures(tmp_path):
    """What is stored before the flush, what comes after it, and what is asked."""
    first = write_pictures(tmp_path / "first", classes=2, each=8)
    second = write_pictures(tmp_path / "second", classes=3, each=6, seed=4)
    asked = sorted(write_pictures(tmp_path / "asked", each=1).rglob("*.*g"))
    return first, second, [(path.name, path.read_bytes()) for path in asked]


def stored(settings, folder):
    with open_context(settings) as context, embedded_workers(context, settings):
        job = start_ingest(context, "default", "birds", folder, encoder="pixel")
        wait_for_job(context, job.id, lambda *_: None)
        return ingest_report(context, job.id)


def optimised(settings):
    with open_context(settings) as context, embedded_workers(context, settings):
        job = start_optimise(context, "default", "birds", OptimiseRequest.from_dict({"trials": 1}))
        wait_for_job(context, job.id, lambda *_: None)


def answers(settings, asked):
    with open_context(settings) as context:
        return [one.as_dict() for one in classify(context, "default", "birds", asked)]


def restarted(settings):
    """What the first sweep of a new owner does; points and rows after it."""
    with open_context(settings) as context:
        carry_out(context, Sweep())
        catalogue = context.registry.catalogue("default", "birds")
        rows = [row.id for row in context.registry.examples(catalogue.id)]
        left = {one.kind.value for one in verify_store(context, mend=False, alone=True).left}
        return context.store.ids(partition_of(catalogue), {}), rows, left


def test_points_and_flags_that_a_power_cut_took_come_back_by_themselves(settings, pictures, tmp_path):
    first, second, asked = pictures
    assert stored(settings, first)["stored"] == 16
    shutil.copytree(settings.data_dir / VECTORS_FOLDER, tmp_path / "flushed")
    assert stored(settings, second)["stored"] == 18
    optimised(settings)
    answered = answers(settings, asked)

    shutil.rmtree(settings.data_dir / VECTORS_FOLDER)
    shutil.move(tmp_path / "flushed", settings.data_dir / VECTORS_FOLDER)
    points, rows, left = restarted(settings)
    assert points == rows
    assert len(rows) == 34
    assert left == set()
    assert answers(settings, asked) == answered


def test_records_that_a_power_cut_took_leave_no_points_and_the_pictures_can_be_handed_over_again(
    settings, pictures, tmp_path
):
    first, second, _ = pictures
    assert stored(settings, first)["stored"] == 16
    shutil.copy(settings.data_dir / DATABASE_FILE, tmp_path / "flushed.db")
    assert stored(settings, second)["stored"] == 18
    shutil.copy(tmp_path / "flushed.db", settings.data_dir / DATABASE_FILE)

    points, rows, left = restarted(settings)
    assert points == rows
    assert len(rows) == 16
    assert left == {"stray bytes"}, "harmless, and deleted by verify-store --repair"
    assert stored(settings, second)["stored"] == 18
    points, rows, left = restarted(settings)
    assert points == rows
    assert (len(rows), left) == (34, set())
