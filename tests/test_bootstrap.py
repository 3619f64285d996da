import subprocess
import sys

import numpy as np
import pytest
from pydantic import SecretStr

from service.bootstrap import DATABASE_FILE, open_context
from service.errors import DataDirectoryInUse, InvalidInput, LeaseHeld, Unavailable
from service.settings import Settings, check_settings
from service.usecases.context import for_worker
from tests.processes import ROOT

WHOLE = {
    "broker_url": "redis://localhost",
    "qdrant_url": "http://localhost:6333",
    "database_url": "postgresql://localhost/holotype",
    "blob_url": "s3://bucket/holotype",
}


def test_the_embedded_default_keeps_everything_in_the_data_directory(context, data_dir):
    catalogue = context.registry.create_catalogue("t", "birds", "pixel")
    assert context.registry.catalogue("t", "birds") == catalogue
    context.blobs.put("t/images/ab/abc", b"bytes")
    assert context.blobs.get("t/images/ab/abc") == b"bytes"
    encoder = context.encoders.load("pixel")
    context.store.open_collection(encoder.fingerprint.collection, encoder.fingerprint.dimension)
    found = {path.name for path in data_dir.iterdir()}
    assert {DATABASE_FILE, "vectors", "blobs", "lock"} <= found


def test_limits_are_the_settings(data_dir):
    given = {"chunk_images": 7, "decode_threads": 3, "chunk_lease_s": 11.0, "job_lease_s": 12.0, "gate_margin": 0.5}
    with open_context(Settings(data_dir=data_dir, **given)) as context:
        assert {name: getattr(context.limits, name) for name in given} == given


def test_a_second_opener_is_refused_and_the_first_one_is_not_disturbed(context, settings):
    context.registry.take_lease("work", "me", 60)
    with pytest.raises(DataDirectoryInUse), open_context(settings):
        pytest.fail("two owners")
    with pytest.raises(LeaseHeld):
        context.registry.take_lease("work", "you", 60)


def test_who_takes_over_the_directory_expires_the_leases_of_the_one_before(settings):
    with open_context(settings) as first:
        first.registry.take_lease("work", first.owner, 600)
    with open_context(settings) as second:
        assert second.owner != first.owner
        second.registry.take_lease("work", second.owner, 600)


def test_owning_a_directory_expires_no_leases_in_a_database_elsewhere(data_dir, tmp_path):
    settings = Settings(data_dir=data_dir, database_url=SecretStr(f"sqlite:///{tmp_path}/elsewhere.db"))
    with open_context(settings) as first:
        first.registry.take_lease("work", first.owner, 600)
    with open_context(settings) as second, pytest.raises(LeaseHeld):
        second.registry.take_lease("work", second.owner, 600)


def test_a_failure_on_the_way_lets_go_of_the_directory(data_dir):
    with (
        pytest.raises(Exception, match="database"),
        open_context(Settings(data_dir=data_dir, database_url=SecretStr("nonsense://host"))),
    ):
        pytest.fail("opened")
    with open_context(Settings(data_dir=data_dir)):
        pass


@pytest.mark.parametrize("left_out", ["qdrant_url", "database_url", "blob_url"])
def test_a_broker_without_what_other_processes_need_is_refused(data_dir, left_out):
    given = {name: value for name, value in WHOLE.items() if name != left_out}
    settings = Settings(data_dir=data_dir, **given)
    with pytest.raises(InvalidInput, match=f"HOLOTYPE_{left_out.upper()}") as caught:
        check_settings(settings)
    assert caught.value.details == {"missing": [f"HOLOTYPE_{left_out.upper()}"]}
    with pytest.raises(InvalidInput), open_context(settings):
        pytest.fail("opened")


def test_whole_settings_go_together(data_dir):
    check_settings(Settings(data_dir=data_dir, **WHOLE))
    check_settings(Settings(data_dir=data_dir))
    check_settings(Settings(data_dir=data_dir, qdrant_url=WHOLE["qdrant_url"]))


def test_naming_the_adapters_imports_none_of_them():
    code = (
        "import sys, service.bootstrap;"
        "heavy = {'celery', 'torch', 'transformers', 'sqlalchemy', 'optuna', 'qdrant_edge', 'qdrant_client', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_command_that_embeds_nothing_loads_no_network(settings):
    code = (
        "import sys; from pathlib import Path; from service.bootstrap import open_context;"
        "from service.settings import Settings\n"
        "with open_context(Settings(data_dir=Path(sys.argv[1]))): pass\n"
        "print(sorted({'torch', 'transformers', 'optuna'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(settings.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_many_at_once_share_passes_and_workers_give_way(tmp_path):
    settings = Settings(data_dir=tmp_path, decode_threads=3)
    with open_context(settings) as alone:
        assert alone.bulk_encoders is None, "nobody to give way to"
        assert for_worker(alone, "w").encoders is alone.encoders
    with open_context(settings, micro_batches=True) as context:
        worker = for_worker(context, "worker")
        assert worker.owner == "worker"
        assert worker.encoders is context.bulk_encoders
        asked, bulk = context.encoders.load("pixel"), worker.encoders.load("pixel")
        prepared = asked.preprocess(np.zeros((8, 8, 3), np.uint8))
        assert np.array_equal(asked.encode([prepared]), bulk.encode([prepared]))
        with context.decoding, context.decoding, context.decoding:
            assert not context.decoding.acquire(blocking=False)
    with pytest.raises(Unavailable, match="stopping"):
        asked.encode([prepared])
