"""Many processes, the same commands: a real broker, a `holotype worker` a queue, one database, one folder of bytes, and
a Qdrant server's double that the real client talks to over HTTP. What is asked is asked by `holotype` too."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from service.bootstrap import open_context
from service.records import ItemState, JobState
from service.settings import Settings
from service.usecases.context import partition_of
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from tests.conftest import write_pictures
from tests.processes import kill_group, running_qdrant_double, running_valkey, start, wait_until

pytestmark = pytest.mark.xdist_group("distributed")  # with --dist loadgroup one machine serves all of them

TENANT = "default"
PROGRAM = Path(sys.executable).with_name("holotype")
COMMAND_S = 120


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
            command = [str(PROGRAM), "worker", "--queue", queue, "--concurrency", str(concurrency)]
            self.workers[queue] = start(command, env=self.environment(), stdout=log, stderr=log)

    def kill(self, queue):
        kill_group(self.workers.pop(queue))

    @contextmanager
    def running(self, *arguments):
        """A command in a process of its own; yields what waits for its end and gives its one JSON value."""
        command = [str(PROGRAM), *map(str, arguments), "--json"]
        process = start(command, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def finished():
            told, noted = process.communicate(timeout=COMMAND_S)
            assert process.returncode == 0, told + noted
            return json.loads(told)

        try:
            yield finished
        finally:
            kill_group(process)

    def holotype(self, *arguments):
        """What a command says, once it has ended."""
        with self.running(*arguments) as finished:
            return finished()


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


def job_of(context, name):
    """The catalogue's job, once the command that another process runs has handed over its pictures."""

    def found():
        for catalogue in context.registry.catalogues(TENANT):
            if catalogue.name == name:
                return context.registry.jobs([JobState.QUEUED, JobState.RUNNING], catalogue.id)
        return []

    wait_until(found, f"the pictures of {name} are handed over")
    return found()[0].id


def points_and_rows(context, name):
    catalogue = context.registry.catalogue(TENANT, name)
    points = context.store.ids(partition_of(catalogue), {})
    return points, [example.id for example in context.registry.examples(catalogue.id)]


def test_commands_only_enqueue_and_wait_and_the_answer_is_the_same(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    assert machine.holotype("ingest", "birds", pictures)["stored"] == 40
    points, rows = points_and_rows(context, "birds")
    assert points == rows
    assert len(points) == 40

    fresh = sorted(write_pictures(tmp_path / "fresh", classes=4, each=3, seed=1).rglob("*.*"))
    before = machine.holotype("classify", "birds", *fresh)
    assert [answer["path"] for answer in before] == [str(path) for path in fresh]
    assert [answer["label"] for answer in before] == [path.parent.name for path in fresh]
    assert {answer["selection"] for answer in before} == {None}

    chosen = machine.holotype("optimise", "birds", "--trials", 2, "--budget", 4)
    assert chosen["activated"] is True
    assert context.registry.catalogue(TENANT, "birds").active_selection == chosen["selection"]
    answers = machine.holotype("classify", "birds", *fresh)
    assert {answer["selection"] for answer in answers} == {chosen["selection"]}
    assert [answer["label"] for answer in answers] == [path.parent.name for path in fresh]
    members = {member.example_id for member in context.registry.members(chosen["selection"])}
    assert len(members) == chosen["references"] < 40
    assert {near["id"] for answer in answers for near in answer["neighbours"]} <= members
    assert machine.holotype("catalogue", "show", "birds")["references"] == chosen["references"]


def test_a_killed_worker_loses_nothing_and_doubles_nothing(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    with machine.running("ingest", "killed", pictures) as finished:
        job_id = job_of(context, "killed")
        wait_until(lambda: context.registry.job(job_id).done >= 6, "the worker is in the middle")
        machine.kill("embed")
        counts = context.registry.item_counts(job_id)
        assert 0 < counts[ItemState.PENDING] < 40, "the kill came too late to show anything"
        machine.start("embed")
        assert finished()["stored"] == 40
    assert context.registry.item_counts(job_id) == {ItemState.STORED: 40}
    points, rows = points_and_rows(context, "killed")
    assert points == rows
    assert len(points) == 40


def test_a_child_that_is_killed_is_replaced_and_its_task_done_again(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    with machine.running("ingest", "child", pictures) as finished:
        job_id = job_of(context, "child")
        wait_until(lambda: context.registry.job(job_id).done >= 6, "the worker is in the middle")
        (child,) = children(machine.workers["embed"])
        os.kill(child, signal.SIGKILL)
        assert finished()["stored"] == 40
    assert machine.workers["embed"].poll() is None
    assert children(machine.workers["embed"]) != [child]


def test_a_worker_that_is_asked_to_end_hands_back_what_it_has_not_done(machine, context, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=4, each=10)
    with machine.running("ingest", "asked", pictures) as finished:
        job_id = job_of(context, "asked")
        wait_until(lambda: context.registry.job(job_id).done >= 6, "the worker is in the middle")
        worker = machine.workers.pop("embed")
        worker.terminate()
        assert worker.wait(60) == 0, machine.log("embed")
        assert context.registry.job(job_id).state is JobState.RUNNING
        machine.start("embed")
        assert finished()["stored"] == 40


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
