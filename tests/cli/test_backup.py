"""`holotype backup` and `holotype restore`: the same answers bit for bit, while others work, and broken off."""

from __future__ import annotations

import io
import json
import shutil
import signal
import stat
import tarfile
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.bootstrap import DATABASE_FILE, open_context
from service.cli.main import main
from service.records import JobState
from service.settings import Settings
from service.usecases.context import partition_of
from service.usecases.verify_store import verify_store
from tests.cli.test_serve import serving
from tests.conftest import write_pictures
from tests.processes import running_qdrant_double, start_python, wait_until
from workers.embedded import embedded_workers

PICTURES = 90


@pytest.fixture
def run(monkeypatch, capsys):
    """A command on a data directory: its exit code and JSON."""
    monkeypatch.setenv("HOLOTYPE_ENCODER", "pixel")
    monkeypatch.setenv("HOLOTYPE_CHUNK_IMAGES", "8")

    def command(folder, *arguments):
        capsys.readouterr()
        code = main([*map(str, arguments), "--data-dir", str(folder), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


@pytest.fixture(scope="module")
def queries(tmp_path_factory) -> list[Path]:
    return sorted(write_pictures(tmp_path_factory.mktemp("queries") / "new", classes=4, each=2, seed=77).rglob("*.*g"))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """Two tenants; birds has served with two selections, a class came afterwards, one picture is in conflict."""
    folder = tmp_path_factory.mktemp("original")
    pictures = write_pictures(folder / "pictures", classes=3, each=8)
    later = write_pictures(folder / "later", classes=4, each=6, seed=5)
    commands = [
        ("ingest", "birds", pictures),
        *(("optimise", "birds", "--trials", "1", "--seed", seed) for seed in (1, 2)),
        ("ingest", "birds", later / "class-03", "--label", "class-03"),
        ("ingest", "birds", next(pictures.rglob("*.png")), "--label", "disputed"),
        ("ingest", "shells", later, "--tenant", "other"),
        ("key", "create", "mine", "--scope", "read"),
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOLOTYPE_ENCODER", "pixel")
        for command in commands:
            assert main([*map(str, command), "--data-dir", str(folder / "data")]) == 0
    return folder / "data"


@pytest.fixture
def filled(original, data_dir) -> Path:
    """A copy of it, of the test's own."""
    shutil.copytree(original, data_dir)
    return data_dir


def everything(run, folder, queries):
    """What people see."""
    asked = (
        ("classify", "birds", *queries),
        ("classify", "shells", *queries, "--tenant", "other"),
        ("selections", "birds"),
        ("key", "list"),
    )
    return [run(folder, *one) for one in asked]


def points(folder):
    """What the vector store holds of all tenants, bit for bit, flags of what serves alone; and what was dropped."""
    found = {}
    with open_context(Settings(data_dir=folder)) as context:
        for catalogue in context.registry.all_catalogues():
            partition = partition_of(catalogue)
            held = context.store.fetch(partition, context.store.ids(partition, {}))
            for example_id, payload, embedding in zip(held.ids, held.payloads, held.embeddings, strict=True):
                flags = {key for key in payload if payload[key] == catalogue.active_selection}
                told = {key: payload[key] for key in ("tenant", "catalogue", "label", "split", "source")}
                found[example_id] = (told, flags, embedding.tobytes())
            found |= {one.example_id: one for one in context.registry.dropped(catalogue.id)}
    return found


def test_a_restored_installation_answers_bit_for_bit_the_same(run, filled, queries, tmp_path):
    with open_context(Settings(data_dir=filled)) as context:
        gone = context.registry.examples(context.registry.catalogue("default", "birds").id)[0].id
    assert run(filled, "drop", "birds", gone)[0] == 0
    before, held = everything(run, filled, queries), points(filled)
    backups = tmp_path / "backups"
    backups.mkdir()
    code, told = run(filled, "backup", backups)
    assert code == 0
    assert (told["tenants"], told["catalogues"], told["lost"]) == (2, 2, 0)
    file = Path(told["file"])
    assert file.parent == backups
    assert told["bytes"] == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in backups.iterdir()] == [file.name], "nothing else is left"

    fresh = tmp_path / "fresh"
    code, restored = run(fresh, "restore", file)
    assert (code, restored["left"]) == (0, [])
    assert [stat.S_IMODE(one.stat().st_mode) for one in (fresh, fresh / DATABASE_FILE)] == [0o700, 0o600]
    assert everything(run, fresh, queries) == before
    assert points(fresh) == held
    assert run(fresh, "verify-store") == run(filled, "verify-store")
    code, refused = run(fresh, "restore", file)
    assert (code, refused["error"]["type"]) == (2, "InvalidInput"), "never over what is there"


def sent(client, folder):
    files = [("pictures", (str(one.relative_to(folder)), one.read_bytes())) for one in sorted(folder.rglob("*.*g"))]
    return client.post("/v1/catalogues/birds/ingests", files=files).raise_for_status().headers["location"]


def test_a_backup_while_the_service_works_is_whole(run, filled, queries, tmp_path):
    """Pictures arrive and go meanwhile: whatever rows the backup has, it has their bytes, and what serves answers."""
    active = run(filled, "catalogue", "show", "birds")[1]["active_selection"]
    answered = run(filled, "classify", "birds", *queries)[1]
    with serving(filled, HOLOTYPE_CHUNK_IMAGES="1") as (_, ready):
        key = {"Authorization": f"Bearer {ready['admin_key']}"}
        with httpx.Client(base_url=ready["url"], headers=key, timeout=60) as client:
            job = sent(client, write_pictures(tmp_path / "more", classes=3, each=PICTURES // 3, seed=8))
            wait_until(lambda: client.get(job).json()["done"] >= 3, "it is under way")
            code, told = run(filled, "backup", tmp_path / "running.tar")
            assert (code, told["lost"]) == (0, 0)
    fresh = tmp_path / "fresh"
    assert run(fresh, "restore", tmp_path / "running.tar")[1]["left"] == []
    with open_context(Settings(data_dir=fresh, encoder="pixel")) as context:
        assert context.registry.catalogue("default", "birds").active_selection == active
        unfinished = context.registry.jobs([JobState.QUEUED, JobState.RUNNING])
        assert unfinished, "the backup came too late to show anything"
        with embedded_workers(context, Settings(data_dir=fresh)):
            wait_until(lambda: not context.registry.jobs([JobState.QUEUED, JobState.RUNNING]), "it goes on and ends")
        assert verify_store(context, mend=False, alone=True).left == ()
        assert context.registry.item_counts(unfinished[0].id) == {"stored": PICTURES}
    assert [one["label"] for one in run(fresh, "classify", "birds", *queries)[1]] == [one["label"] for one in answered]


KILLED = """
import os, signal, sys
from service.adapters.blob_store import FsspecBlobStore
from service.adapters.registry_sql.copies import SqlCopies
from service.cli.main import main

def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "bytes":
    put, left = FsspecBlobStore.put, [5]
    def put_some(self, key, data):
        left[0] -= 1
        put(self, key, data) if left[0] else end()
    FsspecBlobStore.put = put_some
else:
    SqlCopies.fill_from = end
main(sys.argv[2:])
"""


@pytest.mark.parametrize("killed_at", ["bytes", "records"])
def test_a_restore_that_is_killed_counts_for_nothing_until_it_is_done_again(
    run, original, original_backup, queries, tmp_path, killed_at
):
    fresh = tmp_path / "fresh"
    process = start_python(KILLED, killed_at, "restore", str(original_backup), "--data-dir", str(fresh))
    assert process.wait(120) == -signal.SIGKILL
    assert list(fresh.glob("blobs/*/*/*/*"))
    assert not (fresh / DATABASE_FILE).exists()
    code, told = run(fresh, "catalogue", "list")
    assert code == 2
    assert "was broken off" in told["error"]["message"]
    assert run(fresh, "restore", original_backup)[0] == 0
    assert not list(fresh.glob("restoring-*"))
    assert run(fresh, "classify", "birds", *queries) == run(original, "classify", "birds", *queries)


@pytest.fixture(scope="module")
def original_backup(original, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("backup") / "backup.tar"
    assert main(["backup", str(file), "--data-dir", str(original)]) == 0
    return file


@contextmanager
def rewritten(file, other, changed):
    """The backup with `changed` done to its list of members."""
    with tarfile.open(file) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar]
    with tarfile.open(other, "w") as tar:
        for info, data in changed(members):
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    yield other
    other.unlink()


def one_byte(members):
    return [(info, data[:-1] + b"x" if "/images/" in info.name else data) for info, data in members]


def newer(members):
    (first, data), *rest = members
    return [(first, json.dumps({**json.loads(data), "format": 2, "holotype": "9.0"}).encode()), *rest]


def left_out(members):
    place = next(number for number, (info, _) in enumerate(members) if "/embeddings/" in info.name)
    return members[:place] + members[place + 1 :]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (one_byte, "is not what was written"),
        (left_out, "is not what was written"),
        (lambda members: members[:-1], "it was cut off"),
        (newer, "made by Holotype 9.0 in format 2"),
        (lambda members: members[1:], "is no backup of Holotype"),
    ],
)
def test_what_is_no_whole_backup_is_refused(run, original_backup, tmp_path, changed, sentence):
    with rewritten(original_backup, tmp_path / "changed.tar", changed) as other:
        code, told = run(tmp_path / "fresh", "restore", other)
    assert code == 2
    assert sentence in told["error"]["message"]
    assert not (tmp_path / "fresh" / DATABASE_FILE).exists()


def test_wrong_use_is_said(run, data_dir, tmp_path):
    assert "nothing was ever stored" in run(data_dir, "backup", tmp_path / "a.tar")[1]["error"]["message"]
    assert not (tmp_path / "a.tar").exists()
    assert run(data_dir, "restore", tmp_path / "a.tar")[0] == 2
    (tmp_path / "a.tar").write_bytes(b"no tar at all" * 100)
    assert "no whole backup" in run(data_dir, "restore", tmp_path / "a.tar")[1]["error"]["message"]
    assert run(data_dir, "backup", tmp_path / "a.tar")[0] == 2, "what is there is not written over"


def test_what_was_lost_before_is_told(run, data_dir, tmp_path):
    assert run(data_dir, "ingest", "birds", write_pictures(tmp_path / "pictures", classes=2, each=2))[0] == 0
    gone = next((data_dir / "blobs/default/images").rglob("*/*"))
    gone.unlink()
    code, told = run(data_dir, "backup", tmp_path / "backup.tar")
    assert (code, told["lost"]) == (0, 1)
    assert told["lost_keys"][0].endswith(gone.name)
    code, restored = run(tmp_path / "fresh", "restore", tmp_path / "backup.tar")
    assert (code, [one["kind"] for one in restored["left"]]) == (1, ["picture missing"])


def test_with_servers_records_bytes_and_points_come_back(run, queries, tmp_path, monkeypatch):
    """SQLite by URL, a folder by URL, a Qdrant server's double: another one is filled than the one that was read."""

    def servers(folder, qdrant):
        monkeypatch.setenv("HOLOTYPE_DATABASE_URL", f"sqlite:///{folder}/holotype.db")
        monkeypatch.setenv("HOLOTYPE_BLOB_URL", f"file://{folder}/blobs")
        monkeypatch.setenv("HOLOTYPE_QDRANT_URL", qdrant)

    with running_qdrant_double() as first, running_qdrant_double() as second:
        servers(tmp_path / "first", first)
        pictures = write_pictures(tmp_path / "pictures", classes=3, each=6)
        assert run(tmp_path / "here", "ingest", "birds", pictures)[0] == 0
        assert run(tmp_path / "here", "optimise", "birds", "--trials", "2")[0] == 0
        answered = run(tmp_path / "here", "classify", "birds", *queries)
        file = tmp_path / "backup.tar"
        assert run(tmp_path / "here", "backup", file)[0] == 0
        servers(tmp_path / "other", first)
        code, told = run(tmp_path / "there", "restore", file)
        assert code == 2
        assert "never beside the installation itself" in told["error"]["message"]
        servers(tmp_path / "second", second)
        assert run(tmp_path / "fresh", "restore", file)[1]["left"] == []
        assert run(tmp_path / "fresh", "classify", "birds", *queries) == answered
        assert run(tmp_path / "fresh", "verify-store")[0] == 0


def test_a_restored_directory_holds_no_vector_of_what_was_deleted(run, filled, tmp_path):
    with open_context(Settings(data_dir=filled, encoder="pixel")) as context:
        catalogue = context.registry.catalogue("default", "birds")
        own = [
            one for one in context.registry.examples(catalogue.id) if one.label != "class-03"
        ]  # the other tenant's, too
        gone, kept = (one.id for one in own[:2])
        rows = context.store.fetch(partition_of(catalogue), [gone, kept]).embeddings
    assert run(filled, "drop", "birds", gone)[0] == 0
    code, told = run(filled, "backup", tmp_path / "backups")
    assert code == 0
    fresh = tmp_path / "fresh"
    assert run(fresh, "restore", told["file"])[0] == 0
    files = [path.read_bytes() for path in (fresh / "vectors").rglob("*") if path.is_file()]
    found = [any(row[8:24].tobytes() in data for data in files) for row in rows]
    assert found == [False, True]
