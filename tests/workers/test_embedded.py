import signal
import subprocess
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest

from service.bootstrap import open_context
from service.errors import JobFailed
from service.ports import EmbedChunk, RunOptimise
from service.records import ItemState, JobState
from service.settings import Settings
from service.usecases.context import partition_of
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from tests.processes import kill_group, start_python
from workers import interruptible
from workers.embedded import EMBED_THREADS, embedded_workers

TENANT = "default"


def unseen(stage, done, total):
    """Progress that nobody looks at."""


def stored(context, name):
    """Ids of the catalogue's points, and of its example rows."""
    catalogue = context.registry.catalogue(TENANT, name)
    points = context.store.ids(partition_of(catalogue), {})
    return points, [example.id for example in context.registry.examples(catalogue.id)]


def test_a_job_is_done_and_its_progress_told(working_context, picture_folder):
    seen = []
    job = start_ingest(working_context, TENANT, "birds", picture_folder(), encoder="pixel")
    done = wait_for_job(working_context, job.id, lambda *progress: seen.append(progress))
    assert done.state is JobState.DONE
    assert done.result["stored"] == 48
    points, rows = stored(working_context, "birds")
    assert points == rows
    assert len(points) == 48
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts)
    assert seen[-1][1:] == (48, 48)


def test_what_an_earlier_run_left_is_taken_up_first(settings, picture_folder):
    with open_context(settings) as first:
        job = start_ingest(first, TENANT, "birds", picture_folder(), encoder="pixel")
        assert first.registry.claim_chunk(job.id, 0, first.owner, 600), "the chunk of a process that died"
    with open_context(settings) as second, embedded_workers(second, settings):
        done = wait_for_job(second, job.id, unseen)
        assert done.result["stored"] == 48
        assert second.registry.item_counts(job.id) == {ItemState.STORED: 48}


def test_a_job_that_cannot_be_done_fails_with_a_sentence(working_context, picture_folder, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    job = start_ingest(working_context, TENANT, "birds", picture_folder(), encoder=str(weights))
    with pytest.raises(JobFailed, match=r"ingest job failed: .*weights") as caught:
        wait_for_job(working_context, job.id, unseen)
    assert caught.value.details["job"] == job.id


def test_two_data_directories_in_one_process_keep_to_themselves(tmp_path, picture_folder):
    pictures = picture_folder(each=6)
    with ExitStack() as stack:
        jobs = []
        for name in ("one", "two"):
            settings = Settings(data_dir=tmp_path / name, encoder="pixel", chunk_images=4)
            context = stack.enter_context(open_context(settings))
            stack.enter_context(embedded_workers(context, settings))
            jobs.append((context, start_ingest(context, TENANT, name, pictures, encoder="pixel")))
        for context, job in jobs:
            assert wait_for_job(context, job.id, unseen).result["stored"] == 24


def test_workers_can_be_started_again_and_leave_no_thread(context, settings, picture_folder):
    encoder = context.encoders.load("pixel")
    encoder.encode([encoder.preprocess(np.zeros((8, 8, 3), np.uint8))])  # the thread of its passes is the context's
    before = set(threading.enumerate())
    for name in ("one", "two"):
        with embedded_workers(context, settings):
            job = start_ingest(context, TENANT, name, picture_folder(each=3), encoder="pixel")
            assert wait_for_job(context, job.id, unseen).result["stored"] == 12
    give_up = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < give_up:
        time.sleep(0.02)  # pool threads were told to end; they need a moment
    assert not set(threading.enumerate()) - before


def test_a_task_that_takes_too_long_is_interrupted_and_nothing_begins_after(context, settings, monkeypatch):
    begun, ended = [], []

    def endless(own, message):
        begun.append(message)
        try:
            while isinstance(message, RunOptimise):
                sum(range(1000))
        finally:
            ended.append(message)

    monkeypatch.setattr(interruptible, "carry_out", endless)
    monkeypatch.setattr("workers.embedded.GRACE_S", 0.1)
    with embedded_workers(context, settings):
        context.queue.enqueue(RunOptimise("long"))
        context.queue.enqueue(RunOptimise("behind it"))
        while RunOptimise("long") not in begun:
            time.sleep(0.01)
    assert RunOptimise("long") in ended
    assert RunOptimise("behind it") not in begun


def test_each_thread_is_an_owner_of_its_own(context, settings, monkeypatch):
    owners = {}
    together = threading.Barrier(EMBED_THREADS)

    def carry_out(own, message):
        owners[message] = own.owner
        if isinstance(message, EmbedChunk):
            together.wait(20)  # none is through before as many are at it

    monkeypatch.setattr(interruptible, "carry_out", carry_out)
    wanted = {*(EmbedChunk("j", number) for number in range(EMBED_THREADS)), RunOptimise("j")}
    with embedded_workers(context, settings):
        for message in wanted:
            context.queue.enqueue(message)
        while not wanted <= set(owners):
            time.sleep(0.01)
    assert len(set(owners.values())) == EMBED_THREADS + 2, "embed's, optimise and the sweep that comes first"
    assert all(owner.startswith(context.owner) for owner in owners.values())


def test_chunks_side_by_side_are_each_given_back_when_the_work_is_stopped(settings, monkeypatch, picture_folder):
    at_it = threading.Semaphore(0)

    def endless(_passes, _kind, _inputs, *, bulk):
        assert not bulk
        at_it.release()
        while True:
            time.sleep(0.001)

    few = settings.model_copy(update={"chunk_images": 8})
    with monkeypatch.context() as patch, open_context(few) as context:
        patch.setattr("service.adapters.shared_passes.SharedPasses.ask", endless)
        patch.setattr("workers.embedded.GRACE_S", 0.1)
        with embedded_workers(context, few):
            job = start_ingest(context, TENANT, "birds", picture_folder(), encoder="pixel")
            for _ in range(EMBED_THREADS):
                assert at_it.acquire(timeout=20)
        assert len(context.registry.open_chunks()) == 6, "none is leased to a thread that is gone"
    with open_context(few) as context, embedded_workers(context, few):
        assert wait_for_job(context, job.id, unseen).result["stored"] == 48
        points, rows = stored(context, "birds")
        assert points == rows
        assert len(points) == 48


def test_with_a_broker_nothing_starts_here(context, settings):
    before = threading.active_count()
    with embedded_workers(context, settings.model_copy(update={"broker_url": "redis://elsewhere"})):
        assert threading.active_count() == before


COMMAND = """
import signal, sys
from pathlib import Path
from service.bootstrap import open_context
from service.settings import Settings
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from workers.embedded import embedded_workers

handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)]
settings = Settings(data_dir=Path(sys.argv[1]), chunk_images=1)
def told(stage, done, total):
    print(stage, done, flush=True)
with open_context(settings) as context, embedded_workers(context, settings):
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)] == handlers
    job = start_ingest(context, "default", "birds", Path(sys.argv[2]), encoder="pixel")
    result = wait_for_job(context, job.id, told).result
print("stored", result["stored"])
"""


@pytest.fixture
def command(data_dir, picture_folder):
    """Starts a process that ingests 60 pictures, one a task."""
    pictures = picture_folder(classes=4, each=15)
    started = []

    def begin():
        process = start_python(COMMAND, str(data_dir), str(pictures), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield begin
    for process in started:
        kill_group(process)


def test_a_command_ends_without_a_word_too_many(command):
    process = command()
    out, err = process.communicate(timeout=120)
    assert err == ""
    assert out.splitlines()[-1] == "stored 60"
    assert process.returncode == 0


def test_control_c_ends_a_command_soon_and_the_next_one_goes_on(command, data_dir):
    process = command()
    for line in process.stdout:
        if line.startswith("embedding") and int(line.split()[1]) >= 5:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130)
    assert err.count("Traceback") == 1, err
    assert err.rstrip().endswith("KeyboardInterrupt")

    settings = Settings(data_dir=data_dir)
    with open_context(settings) as context:
        (job,) = context.registry.jobs([JobState.QUEUED, JobState.RUNNING])
        assert context.registry.item_counts(job.id)[ItemState.PENDING] > 0
        with embedded_workers(context, settings):
            assert wait_for_job(context, job.id, unseen).result["stored"] == 60
        points, rows = stored(context, "birds")
        assert points == rows
        assert len(points) == 60
