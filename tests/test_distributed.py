"""Many processes, the same code: a real broker, a worker process a queue, one database, one folder of bytes, and a
Qdrant server's double that the real client talks to over HTTP."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from service.bootstrap import open_context
from service.records import ItemState, JobState
from service.settings import Settings
from service.usecases.classify import classify
from service.usecases.context import partition_of
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from service.usecases.optimise import start_optimise
from service.usecases.optimise_request import OptimiseRequest
from tests.conftest import write_pictures
from tests.processes import kill_group, running_qdrant_double, running_valkey, start, wait_until

pytestmark = pytest.mark.xdist_group("distributed")  # with --dist loadgroup one machine serves all of them

TENANT = "default"
WORKER = "import sys; from service.settings import Settings; from workers.app import run_worker; "
WORKER += "sys.exit(run_worker(Settings(), sys.argv[1], int(sys.argv[2])))"


def unseen(stage, done, total):
    """Progress that nobody looks at."""


class Machine:
    """The servers, and worker processes that come and go."""

    def __init__(self, folder, broker, qdrant):
        self.folder = folder
        self.settings = Settings(
            data_dir=folder / "data",
            encoder="pixel",
            broker_url=broker,
            qdrant_url=qdrant,
            database_url=f"sqlite:///{folder}/holotype.db",
            blob_url=f"file://{folder}/blobs",
            chunk_images=2,
            chunk_lease_s=4.0,
            job_lease_s=4.0,
            sweep_interval_s=1.0,
        )
        self.workers = {}

    def environment(self):
        """The settings as a worker process reads them."""
        values = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        for name in ("broker_url", "database_url"):
            values[name] = values[name].get_secret_value()
        return {f"HOLOTYPE_{name.upper()}": str(value) for name, value in values.items()} | {
            "HOLOTYPE_LOG_LEVEL": "INFO"
        }

    def log(self, queue):
        return (self.folder / f"{queue}.log").read_text()

    def start(self, queue, concurrency=1):
        with (self.folder / f"{queue}.log").open("a") as log:
            command = [sys.executable, "-c", WORKER, queue, str(concurrency)]
            self.workers[queue] = start(command, env=self.environment(), stdout=log, stderr=log)

    def kill(self, queue):
        kill_group(self.workers.pop(queue))


@contextmanager
def running_machine(folder):
    with ExitStack() as stack:
        machine = Machine(folder, stack.enter_context(running_valkey()), stack.enter_context(running_qdrant_double()))
        try:
            for queue in ("embed", "optimise", "maintenance"):
                machine.start(queue)
            yield machine
        finally:
            for queue in list(machine.workers):
                machine.kill(queue)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with running_machine(tmp_path_factory.mktemp("machine")) as started:
        yield started


@pytest.fixture
def context(machine):
    with open_context(machine.settings) as opened:
        yield opened


def points_and_rows(context, name):
    catalogue = context.registry.catalogue(TENANT, name)
    points = context.store.ids(partition_of(catalogue), {})
    return points, [example.id for example in context.registry.examples(catalogue.id)]


def test_commands_only_enqueue_and_wait_and_the_answer_is_the_same(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    job = start_ingest(context, TENANT, "birds", pictures, encoder="pixel")
    assert wait_for_job(context, job.id, unseen).result["stored"] == 40
    points, rows = points_and_rows(context, "birds")
    assert points == rows
    assert len(points) == 40

    fresh = write_pictures(tmp_path / "fresh", classes=4, each=3, seed=1)
    queries = [(str(path), path.read_bytes()) for path in sorted(fresh.rglob("*.*"))]
    answers = [answer.as_dict() for answer in classify(context, TENANT, "birds", queries)]
    assert [answer["label"] for answer in answers] == [path.split("/")[-2] for path, _ in queries]


def test_the_optimise_worker_optimises(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=3, each=12)
    job = start_ingest(context, TENANT, "fish", pictures, encoder="pixel")
    wait_for_job(context, job.id, unseen)
    job = start_optimise(context, TENANT, "fish", OptimiseRequest(trials=2))
    result = wait_for_job(context, job.id, unseen).result
    assert context.registry.catalogue(TENANT, "fish").active_selection == result["selection"]


def test_a_killed_worker_loses_nothing_and_doubles_nothing(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    job = start_ingest(context, TENANT, "killed", pictures, encoder="pixel")
    wait_until(lambda: context.registry.job(job.id).done >= 6, "the worker is in the middle")
    machine.kill("embed")
    counts = context.registry.item_counts(job.id)
    assert 0 < counts[ItemState.PENDING] < 40, "the kill came too late to show anything"
    machine.start("embed")
    done = wait_for_job(context, job.id, unseen)
    assert done.result["stored"] == 40
    assert context.registry.item_counts(job.id) == {ItemState.STORED: 40}
    points, rows = points_and_rows(context, "killed")
    assert points == rows
    assert len(points) == 40


def test_a_child_that_is_killed_is_replaced_and_its_task_done_again(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    job = start_ingest(context, TENANT, "child", pictures, encoder="pixel")
    wait_until(lambda: context.registry.job(job.id).done >= 6, "the worker is in the middle")
    (child,) = children(machine.workers["embed"])
    os.kill(child, signal.SIGKILL)
    done = wait_for_job(context, job.id, unseen)
    assert done.result["stored"] == 40
    assert machine.workers["embed"].poll() is None
    assert children(machine.workers["embed"]) != [child]


def test_a_worker_that_is_asked_to_end_hands_back_what_it_has_not_done(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    job = start_ingest(context, TENANT, "asked", pictures, encoder="pixel")
    wait_until(lambda: context.registry.job(job.id).done >= 6, "the worker is in the middle")
    worker = machine.workers.pop("embed")
    worker.terminate()
    assert worker.wait(60) == 0, machine.log("embed")
    assert context.registry.job(job.id).state is JobState.RUNNING
    machine.start("embed")
    assert wait_for_job(context, job.id, unseen).result["stored"] == 40


def test_a_message_that_never_arrived_is_sent_again(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=2, each=4)

    class Deaf:
        def enqueue(self, message):
            """A broker that lost what it was given."""

    job = start_ingest(replace(context, queue=Deaf()), TENANT, "lost", pictures, encoder="pixel")
    assert wait_for_job(context, job.id, unseen).result["stored"] == 8


def children(worker):
    """Process ids of a worker's pool."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(worker.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]
