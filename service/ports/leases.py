"""The registry: leases by which work on one thing is kept apart."""

from __future__ import annotations

from typing import Protocol


class LeaseRegistry(Protocol):
    """Leases by name: one owner at a time, until it lets go or the time runs out."""

    def take_lease(self, name: str, owner: str, seconds: float) -> None:
        """Take or renew the named lease; raises LeaseHeld while another owner's has not run out."""
        ...

    def renew_lease(self, name: str, owner: str, seconds: float) -> None:
        """Hold it for so long from now; raises LeaseHeld when the owner is not the last who took it, or it is gone.

        One that ran out is renewed as long as nobody else has taken it since.
        """
        ...

    def release_lease(self, name: str, owner: str) -> None: ...

    def expire_leases(self) -> None:
        """All leases, of chunks too, run out now: for the new sole owner of a data directory."""
        ...
