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

    def __init__(self, context: Context, name: str, seconds: float) -> None:
        self.name, self.owner = name, context.owner
        self.lost = threading.Event()
        self._registry, self._seconds = context.registry, seconds

    def renew(self) -> None:
        """Raises LeaseHeld when somebody else has had it meanwhile, even if they let go of it again; Unavailable."""
        try:
            self._registry.renew_lease(self.name, self.owner, self._seconds)
        except LeaseHeld:
            self.lost.set()
            raise

    def check(self) -> None:
        """Ask now, and renew: the renewing thread of a process that stood still knows no better than its work.

        Raises:
            LeaseHeld: somebody else has had the lease meanwhile (this process was held up too long).
            Unavailable: the registry does not answer.
        """
        try:
            if not self.lost.is_set():
                self.renew()
                return
        except LeaseHeld:
            pass
        raise LeaseHeld(
            f"the lease {self.name!r} ran out while this process was held up, and somebody else took it: "
            "nothing more is written here",
            lease=self.name,
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
    lease = KeptLease(context, name, seconds)
    done = threading.Event()
    every_s = seconds / RENEWALS_A_LEASE
    renewer = threading.Thread(
        target=_keep, args=(lease, every_s, done, _Watch(liveness)), name=f"lease {name}", daemon=True
    )
    renewer.start()
    try:
        yield lease
    finally:
        done.set()
        renewer.join()
        _release(context, name)


def _keep(lease: KeptLease, every_s: float, done: threading.Event, watch: _Watch) -> None:
    """Renew until the block is done or the lease is lost. An outage is waited out: the next time tries again."""
    while not done.wait(every_s):
        try:
            if watch.hangs():
                logger.warning("the lease %r is not renewed: its work has told no progress for long", lease.name)
                continue
            lease.renew()
        except LeaseHeld:
            logger.warning("the lease %r was lost to another owner", lease.name)
            return
        except Unavailable as error:
            logger.warning("the lease %r could not be renewed, will try again: %s", lease.name, error)


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
