"""Do a request once, however often a client sends it: the answer is kept under the client's key for a day.

What is promised: while a request with a key is at work, and after it succeeded, no other one of the tenant with the
same key is done. The one at work holds a lease. When its process dies the lease runs out after `IN_FLIGHT_S` (at once
for the next owner of a data directory), and the next request with the key is done: what the dead one had finished
without having answered it may then be there twice, as without a key. A request that fails is forgotten: what it changed
is up to the use case, and the client may send it again with the same key, changed or not.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from service.errors import IdempotencyConflict, LeaseHeld, RequestInFlight, Unavailable
from service.usecases.context import Context
from service.usecases.leases import kept_lease

REMEMBERED_S = 24 * 3600.0
"""How long an answer is kept. A key that comes back later is a new one."""
IN_FLIGHT_S = 60.0
"""How long a dead process keeps others away. One that lives renews its lease, however long it takes."""

Answer = Mapping[str, Any]
"""What a request was answered, as JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """A request with an idempotency key.

    Attributes:
        tenant: whose it is.
        scope: what the key belongs to beside the tenant: the route.
        key: as the client chose it.
        sha256: of everything that makes the request: method, path, query, body.
    """

    tenant: str
    scope: str
    key: str
    sha256: str

    @property
    def name(self) -> str:
        """The key with its route, as the registry keeps it."""
        return f"{self.scope} {self.key}"


def do_once(context: Context, request: Keyed, work: Callable[[], Answer]) -> tuple[Answer, bool]:
    """The answer of `work`, or the kept one of the first such request; and whether it is a kept one.

    Raises:
        RequestInFlight: the first one is still at work.
        IdempotencyConflict: the key was used for another request.
        HolotypeError: and whatever else `work` raises; then the request is forgotten.
    """
    kept = _kept(context, request)
    if kept is not None:
        return kept, True
    # A thread of this process is somebody else, too: leases are told apart by their owner's name.
    mine = replace(context, owner=f"{context.owner}:{uuid.uuid4().hex}")
    try:
        with kept_lease(mine, _lease(request), IN_FLIGHT_S):
            kept = _kept(context, request)
            return (_answered(context, request, work), False) if kept is None else (kept, True)
    except LeaseHeld as error:
        if error.details.get("lease") != _lease(request):
            raise
        raise RequestInFlight(
            f"a request with the idempotency key {request.key!r} is still being worked on: send it again later",
            idempotency_key=request.key,
        ) from error


def forget_old_requests(context: Context) -> int:
    """Forget what is older than `REMEMBERED_S`; how many requests that were. For the sweeper."""
    return context.registry.forget_requests(context.clock() - REMEMBERED_S)


def _kept(context: Context, request: Keyed) -> Answer | None:
    found = context.registry.remember_request(request.tenant, request.name, request.sha256)
    if found.request_sha256 != request.sha256:
        raise IdempotencyConflict(
            f"the idempotency key {request.key!r} was used for another request: a key belongs to one request, with its "
            "path, parameters and body; take a new one",
            idempotency_key=request.key,
        )
    return found.answer


def _answered(context: Context, request: Keyed, work: Callable[[], Answer]) -> Answer:
    try:
        answer = work()
    except BaseException:
        _forget(context, request)
        raise
    context.registry.answer_request(request.tenant, request.name, answer)
    return answer


def _forget(context: Context, request: Keyed) -> None:
    """During an outage it stays, without an answer: the next one with the key is done all the same."""
    try:
        context.registry.forget_request(request.tenant, request.name)
    except Unavailable:
        return


def _lease(request: Keyed) -> str:
    """A name of its own form: leases are also found by ids of catalogues and jobs that are in their names."""
    named = f"{request.tenant}\n{request.name}".encode()
    return f"request:{hashlib.sha256(named).hexdigest()}"
