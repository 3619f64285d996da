"""What a backup does when pictures go, and come, while it copies."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager

import pytest

from service.adapters.registry_sql.copies import SqlCopies
from service.bootstrap import records_copies
from service.errors import Busy, InvalidInput
from service.usecases.backup import write_backup
from service.usecases.backup_format import checked_encoder_file
from service.usecases.context import image_key
from service.usecases.decide import drop
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from service.usecases.needed_blobs import needed_blobs
from tests.conftest import write_pictures


class Meddled:
    """Blobs that let somebody act before each is read."""

    def __init__(self, blobs, act):
        self._blobs, self._act = blobs, act

    def get(self, key):
        self._act(key)
        return self._blobs.get(key)


@pytest.fixture
def stocked(working_context, tmp_path):
    """A catalogue of twelve pictures."""
    pictures = write_pictures(tmp_path / "pictures", classes=2, each=6)
    job = start_ingest(working_context, "default", "birds", pictures, encoder="pixel")
    wait_for_job(working_context, job.id, lambda *_: None)
    return working_context, working_context.registry.catalogue("default", "birds")


@contextmanager
def records_in(data: bytes, folder):
    """The records of a backup, and the keys whose bytes it has."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        (folder / "copied.db").write_bytes(tar.extractfile("records.db").read())
        keys = {name.removeprefix("blobs/") for name in tar.getnames() if name.startswith("blobs/")}
    with SqlCopies(f"sqlite:///{folder}/none.db").opened(folder / "copied.db") as registry:
        yield registry, keys


def backed_up(context, settings, tmp_path, act):
    buffer = io.BytesIO()
    summary = write_backup(
        records_copies(settings), Meddled(context.blobs, act), buffer, tmp_path, context.clock, lambda *_: None
    )
    return summary, buffer.getvalue()


def test_what_is_dropped_while_it_copies_is_not_missed(stocked, settings, tmp_path):
    context, catalogue = stocked
    ids = sorted(row.id for row in context.registry.examples(catalogue.id))
    turns = iter(ids[-1:-7:-1])

    def drop_one(_key):
        if (gone := next(turns, None)) is not None:
            drop(context, "default", "birds", [gone])

    summary, data = backed_up(context, settings, tmp_path, drop_one)
    assert (summary.lost, summary.examples) == (0, 6)
    with records_in(data, tmp_path) as (registry, keys):
        (copied,) = registry.all_catalogues()
        assert [row.id for row in registry.examples(copied.id)] == ids[:6]
        assert {one.key for one in needed_blobs(registry, copied)} <= keys


def test_a_backup_that_never_comes_to_an_end_says_so(stocked, settings, tmp_path, monkeypatch):
    """Every copy of the records names a picture whose bytes are gone when it is their turn, each time another."""
    context, catalogue = stocked
    monkeypatch.setattr("service.usecases.backup.ROUNDS", 2)
    rows = context.registry.examples(catalogue.id)
    late = write_pictures(tmp_path / "late", classes=1, each=1, seed=9)
    lost = [image_key("default", rows[0].content_hash)]
    context.blobs.delete(lost)

    def another(key):
        if key != lost[0] or len(lost) > 1:
            return
        wait_for_job(context, start_ingest(context, "default", "birds", late, encoder="pixel").id, lambda *_: None)
        new = {image_key("default", one.content_hash) for one in context.registry.examples(catalogue.id)}
        lost.append(*(new - {image_key("default", one.content_hash) for one in rows}))
        context.blobs.delete(lost)

    with pytest.raises(Busy, match="dropped faster than they are copied: after 2 copies of the records 2 keys"):
        backed_up(context, settings, tmp_path, another)
    monkeypatch.setattr("service.usecases.backup.ROUNDS", 3)
    summary, _ = backed_up(context, settings, tmp_path, another)
    assert sorted(summary.lost_keys) == sorted(lost), "what two copies in a row want in vain was lost before"


TUNED = "finetuned-0123456789abcdef"


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "finetuned-0123456789abcdef/../../x",
        "/etc/passwd",
        "packaged/x",
        "finetuned-0123456789abcdef/",
    ],
)
def test_files_of_encoders_go_nowhere_else(path):
    with pytest.raises(InvalidInput, match="is no file of a fine-tuned encoder"):
        checked_encoder_file(f"encoders/{path}")
