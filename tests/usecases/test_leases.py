import itertools
import threading
import time
from dataclasses import replace

import pytest

from service.errors import LeaseHeld, Unavailable
from service.usecases.leases import Liveness, kept_lease

NAME = "job:1"


def held_by_another(context):
    try:
        context.registry.take_lease(NAME, "somebody else", 0.001)
    except LeaseHeld:
        return True
    return False


def test_a_lease_is_kept_beyond_its_length_and_then_let_go(context):
    with kept_lease(context, NAME, 0.6) as lease:
        time.sleep(1.0)
        assert held_by_another(context)
        lease.check()
    assert not held_by_another(context)


def test_a_lease_of_work_that_hangs_runs_out_though_its_process_lives(context):
    with kept_lease(context, NAME, 0.3, Liveness(lambda: "the same stage", 0.2)) as lease:
        time.sleep(1.2)
        assert not held_by_another(context)  # somebody else takes it, if for a moment
        with pytest.raises(LeaseHeld):
            lease.check()


def test_a_lease_that_ran_out_and_that_nobody_took_is_kept_again(context):
    with kept_lease(context, NAME, 0.3, Liveness(lambda: "the same stage", 0.2)) as lease:
        time.sleep(1.2)
        lease.check()


def test_a_lease_of_work_that_goes_on_is_kept(context):
    done = itertools.count()
    with kept_lease(context, NAME, 0.6, Liveness(lambda: next(done), 0.1)):
        time.sleep(1.0)
        assert held_by_another(context)


def test_work_that_hung_and_lost_its_lease_is_told_so_when_it_goes_on(context):
    stage = ["hangs"]
    with kept_lease(context, NAME, 0.3, Liveness(lambda: stage[0], 0.2)) as lease:
        time.sleep(1.2)
        context.registry.take_lease(NAME, "somebody else", 60)
        stage[0] = "goes on"
        assert lease.lost.wait(30)
        with pytest.raises(LeaseHeld):
            lease.check()


def test_it_is_let_go_when_the_work_fails(context):
    with pytest.raises(ValueError, match="no"), kept_lease(context, NAME, 60):
        raise ValueError("no")
    assert not held_by_another(context)


def test_who_comes_second_is_refused(context):
    with (
        kept_lease(context, NAME, 60),
        pytest.raises(LeaseHeld),
        kept_lease(replace(context, owner="another"), NAME, 60),
    ):
        pytest.fail("two holders")


class Registry:
    """The registry, with something that happens before each renewal."""

    def __init__(self, registry, trouble):
        self._registry, self._trouble, self.calls = registry, trouble, 0

    def take_lease(self, name, owner, seconds):
        self._registry.take_lease(name, owner, seconds)

    def renew_lease(self, name, owner, seconds):
        self.calls += 1
        self._trouble(self.calls)
        self._registry.renew_lease(name, owner, seconds)

    def release_lease(self, name, owner):
        self._registry.release_lease(name, owner)


def test_an_outage_is_waited_out(context):
    renewed = threading.Event()

    def trouble(call):
        if call == 1:
            raise Unavailable("the database does not answer")
        renewed.set()

    with kept_lease(replace(context, registry=Registry(context.registry, trouble)), NAME, 3.0) as lease:
        assert renewed.wait(10)
        lease.check()
        assert held_by_another(context)


def test_a_lease_that_another_took_is_noticed(context):
    def trouble(call):
        context.registry.release_lease(NAME, context.owner)
        context.registry.take_lease(NAME, "somebody else", 60)

    with kept_lease(replace(context, registry=Registry(context.registry, trouble)), NAME, 0.3) as lease:
        assert lease.lost.wait(10)
        with pytest.raises(LeaseHeld, match="somebody else took it"):
            lease.check()
    with pytest.raises(LeaseHeld):  # nor was it taken from them at the end
        context.registry.take_lease(NAME, context.owner, 1)


def test_a_process_that_stood_still_learns_that_others_came_and_went(context):
    """Its renewing thread stood still, too, and finds nobody there."""
    with kept_lease(context, NAME, 60) as lease:
        lease.check()
        context.registry.release_lease(NAME, context.owner)  # as if it had run out
        context.registry.take_lease(NAME, "somebody else", 60)
        context.registry.release_lease(NAME, "somebody else")
        with pytest.raises(LeaseHeld, match="somebody else took it"):
            lease.check()
        with pytest.raises(LeaseHeld):
            lease.check()


def test_an_outage_at_the_end_does_not_hide_the_work(context, caplog):
    class Gone(Registry):
        def release_lease(self, name, owner):
            raise Unavailable("the database does not answer")

    with kept_lease(replace(context, registry=Gone(context.registry, print)), NAME, 60):
        pass
    assert "run out by itself" in caplog.text
