"""Fair between tenants, with the embedded workers as they are: a few pictures do not wait for another's many."""

from __future__ import annotations

from collections import Counter

import pytest

from service.records import ItemState, JobState
from service.settings import Settings
from service.usecases.jobs import wait_for_job
from tests.api.working import pictures, queued

MANY, FEW = 200, 2


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path / "data", encoder="pixel", chunk_images=1, sweep_interval_s=0.5)


def test_one_tenants_many_do_not_starve_anothers_few(context, tmp_path):
    many = queued(context, pictures(tmp_path / "many", MANY), tenant="acme")
    few = queued(context, pictures(tmp_path / "few", FEW, first=MANY), tenant="globex")
    done = wait_for_job(context, few.id, lambda *_: None)
    meanwhile = context.registry.job(many.id)
    assert meanwhile.state is JobState.RUNNING, "the few waited for all of the many"
    assert meanwhile.done < MANY
    assert done.result["stored"] == FEW
    assert wait_for_job(context, many.id, lambda *_: None).result["stored"] == MANY
    for job, count in ((many, MANY), (few, FEW)):
        assert context.registry.item_counts(job.id) == {ItemState.STORED: count}
        hashes = Counter(one.content_hash for one in context.registry.examples(job.catalogue_id))
        assert set(hashes.values()) == {1}
        assert len(hashes) == count
