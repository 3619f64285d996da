"""Leases that long work keeps: renewed in the background, let go at the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.errors import LeaseHeld, Unavailable
from service.usecases.context import Context

logger = logging.getLogger(__name__)

RENEWALS_A_LEASE = 3
"""Renewed every third of its length: two renewals may be missed before anybody else can take it."""


class KeptLease:
    """A lease while it is kept. `check` says whether it still is; long work asks before it makes its result visible."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.lost = threading.Event()

    def check(self) -> None:
        """Raises LeaseHeld when somebody else has taken the lease meanwhile (this process was held up too long)."""
        if self.lost.is_set():
            raise LeaseHeld(
                f"the lease {self._name!r} ran out while this process was held up, and somebody else took it: "
                "nothing more is written here",
                lease=self._name,
            )


@dataclass(frozen=True, slots=True)
class Liveness:
    """What tells work that goes on from work that hangs while its process lives.

    Attributes:
        mark: anything that changes as the work goes on.
        patience_s: a lease is not renewed while the mark has been the same for longer.
    """

    mark: Callable[[], object]
    patience_s: float


@contextmanager
def kept_lease(context: Context, name: str, seconds: float, liveness: Liveness | None = None) -> Iterator[KeptLease]:
    """Hold the lease `name` for as long as the block runs, renewing it every third of `seconds`.

    A process that dies lets the lease run out after `seconds`, and so does work that hangs, where `liveness` is given:
    somebody else may take it then, and if nobody did, work that goes on again has it again. Not for nesting: the same
    owner may take it twice, and the inner block's end would let go of it.

    Raises:
        LeaseHeld: when somebody else holds it at the start.
        Unavailable: when the registry does not answer at the start.
    """
    context.registry.take_lease(name, context.owner, seconds)
    lease = KeptLease(name)
    done = threading.Event()
    renewer = threading.Thread(
        target=_renew, args=(context, name, seconds, lease, done, liveness), name=f"lease {name}", daemon=True
    )
    renewer.start()
    try:
        yield lease
    finally:
        done.set()
        renewer.join()
        _release(context, name)


def _renew(
    context: Context, name: str, seconds: float, lease: KeptLease, done: threading.Event, liveness: Liveness | None
) -> None:
    """Renew until the block is done or the lease is lost. An outage is waited out: the next third tries again."""
    watch = _Watch(liveness)
    while not done.wait(seconds / RENEWALS_A_LEASE):
        try:
            if watch.hangs():
                logger.warning("the lease %r is not renewed: its work has told no progress for long", name)
                continue
            context.registry.take_lease(name, context.owner, seconds)
        except LeaseHeld:
            lease.lost.set()
            logger.warning("the lease %r was lost to another owner", name)
            return
        except Unavailable as error:
            logger.warning("the lease %r could not be renewed, will try again: %s", name, error)


class _Watch:
    """Looks at the mark now and then."""

    def __init__(self, liveness: Liveness | None) -> None:
        self._liveness = liveness
        self._seen: object = None
        self._since = time.monotonic()

    def hangs(self) -> bool:
        """Has the mark stood still for longer than is waited? Raises what asking for it raises."""
        if self._liveness is None:
            return False
        mark = self._liveness.mark()
        if mark != self._seen:
            self._seen, self._since = mark, time.monotonic()
        return time.monotonic() - self._since > self._liveness.patience_s


def _release(context: Context, name: str) -> None:
    """Let go; during an outage the lease runs out by itself, which must not hide what the block did."""
    try:
        context.registry.release_lease(name, context.owner)
    except Unavailable as error:
        logger.warning("the lease %r was not released and will run out by itself: %s", name, error)
