import os

import pytest

from service.errors import InvalidInput
from service.ports import QUEUES
from service.settings import Settings
from workers.app import run_worker, worker_app


@pytest.fixture
def distributed(data_dir):
    return Settings(
        data_dir=data_dir,
        broker_url="redis://:secret@localhost:1",
        qdrant_url="http://localhost:1",
        database_url=f"sqlite:///{data_dir}/holotype.db",
        blob_url=str(data_dir),
    )


def test_what_a_worker_must_not_do_otherwise(distributed):
    """Each of these was measured to lose work, loop, or hang when it was left at Celery's default."""
    with worker_app(distributed, "embed", print) as app:
        conf = app.conf
        assert conf.task_acks_late
        assert conf.task_reject_on_worker_lost
        assert conf.task_retry_on_worker_lost
        assert conf.worker_prefetch_multiplier == 1
        assert conf.worker_proc_alive_timeout == 120
        assert 0 < conf.worker_soft_shutdown_timeout < 10
        assert conf.worker_enable_soft_shutdown_on_idle
        assert conf.task_ignore_result
        assert conf.accept_content == ["json"]
        assert conf.broker_connection_retry_on_startup
        assert conf.broker_transport_options["unacked_restore_interval"] == 2
        assert conf.broker_transport_options["unacked_restore_throttle"] == 1
        assert {kind.__name__ for kind in QUEUES} <= set(app.tasks)
        for kind in QUEUES:
            task = app.tasks[kind.__name__]
            assert task.max_retries == 3
            assert task.acks_late


def test_only_the_maintenance_worker_sweeps(distributed):
    for queue in {*QUEUES.values()}:
        with worker_app(distributed, queue, print) as app:
            steps = [step.__name__ for step in app.steps["worker"]]
            assert ("SweepClock" in steps) == (queue == "maintenance")


def test_a_queue_that_is_not_there(distributed):
    with pytest.raises(InvalidInput, match=r"'paint'.*embed, finetune, maintenance, optimise"):
        run_worker(distributed, "paint")


def test_no_processes_at_all(distributed):
    with pytest.raises(InvalidInput, match="got 0"):
        run_worker(distributed, "embed", 0)


def test_a_worker_without_a_broker(settings):
    with pytest.raises(InvalidInput, match="HOLOTYPE_BROKER_URL"):
        run_worker(settings, "embed")


def test_a_worker_with_half_the_settings(distributed):
    with pytest.raises(InvalidInput, match="HOLOTYPE_BLOB_URL"):
        run_worker(distributed.model_copy(update={"blob_url": None}), "embed")
    assert "REMAP_SIGTERM" not in os.environ
