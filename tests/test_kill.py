"""`kill -9` in the middle of `holotype ingest`: run again, the same points as without, none lost, none doubled."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from service.bootstrap import DATABASE_FILE, open_context
from service.records import ItemState, JobState
from service.settings import Settings
from service.usecases.context import partition_of
from tests.conftest import write_pictures
from tests.processes import kill_group, start, wait_until

INGEST = [sys.executable, "-W", "error", "-m", "service.cli.main", "ingest", "birds"]
PICTURES = 80
TABLE = "holotype_examples"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("kill") / "pictures", classes=4, each=PICTURES // 4)


def started_ingest(pictures, data_dir):
    env = {"HOLOTYPE_ENCODER": "pixel", "HOLOTYPE_CHUNK_IMAGES": "2"}
    command = [*INGEST, str(pictures), "--data-dir", str(data_dir), "--json"]
    return start(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def ingest(pictures, data_dir):
    """Starts `holotype ingest birds PICTURES`, always on the same data directory."""
    started = []

    def begin():
        started.append(started_ingest(pictures, data_dir))
        return started[-1]

    yield begin
    for process in started:
        kill_group(process)


def finished(process):
    """What a command that ran to its end printed."""
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out)


def stored_rows(data_dir):
    """Example rows that are there by now, read past the lock of the process at work."""
    database = data_dir / DATABASE_FILE
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        if TABLE not in tables:  # not made yet
            return 0
        return connection.execute(f"select count(*) from {TABLE}").fetchone()[0]


def contents(data_dir):
    """What the catalogue holds: label, split and embedding by content hash; points and rows must agree."""
    with open_context(Settings(data_dir=data_dir)) as context:
        catalogue = context.registry.catalogue("default", "birds")
        partition = partition_of(catalogue)
        points = context.store.fetch(partition, context.store.ids(partition, {}))
        assert len(set(points.ids)) == len(points.ids)
        rows = context.registry.examples(catalogue.id)
        assert [row.id for row in rows] == list(points.ids)
        told = [(point["content_hash"], point["label"], point["split"]) for point in points.payloads]
        assert [(row.content_hash, row.label, row.split) for row in rows] == told
        for job in context.registry.jobs([JobState.QUEUED, JobState.RUNNING, JobState.DONE]):
            assert context.registry.item_counts(job.id).get(ItemState.PENDING, 0) == 0
        assert points.embeddings is not None
        return {
            content_hash: (label, split, embedding.tobytes())
            for (content_hash, label, split), embedding in zip(told, points.embeddings, strict=True)
        }


@pytest.fixture(scope="module")
def undisturbed(pictures, tmp_path_factory):
    """What a run that nobody kills leaves."""
    data_dir = tmp_path_factory.mktemp("whole") / "data"
    process = started_ingest(pictures, data_dir)
    try:
        assert finished(process)["stored"] == PICTURES
    finally:
        kill_group(process)
    return contents(data_dir)


@pytest.mark.parametrize("killed_at", [1, PICTURES // 2])
def test_an_ingest_that_is_killed_and_run_again_leaves_the_same_points(ingest, data_dir, undisturbed, killed_at):
    process = ingest()
    wait_until(lambda: stored_rows(data_dir) >= killed_at or process.poll() is not None, "it is under way")
    kill_group(process)
    assert killed_at <= stored_rows(data_dir) < PICTURES, "the kill came too early or too late to show anything"

    again = finished(ingest())
    assert again["failed"] == 0
    assert again["stored"] + again["duplicate"] == PICTURES
    assert contents(data_dir) == undisturbed


def test_a_kill_before_all_pictures_were_handed_over(ingest, data_dir, undisturbed):
    process = ingest()
    blobs = data_dir / "blobs"
    wait_until(lambda: len(list(blobs.rglob("images/*/*"))) >= 5 or process.poll() is not None, "pictures are read")
    kill_group(process)

    again = finished(ingest())
    assert again["stored"] + again["duplicate"] == PICTURES
    assert contents(data_dir) == undisturbed
