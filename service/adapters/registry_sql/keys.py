"""Keys of tenants, and the guard that one with scope ADMIN is always left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Text, insert, or_, select, tuple_, type_coerce, update

from service.adapters.registry_sql.database import AnyRow, Part, reading, writing
from service.adapters.registry_sql.schema import api_keys
from service.adapters.registry_sql.usage import one_tenant
from service.errors import LastAdminKey, NotFound, WrongState, quoted
from service.records import ApiKey, Scope


class Keys(Part):
    """Implements the part of `ports.TenantRegistry` that is about keys."""

    @writing
    def add_key(self, connection: Connection, key: ApiKey) -> None:
        one_tenant(connection, key.tenant)
        connection.execute(insert(api_keys), asdict(key))

    @reading
    def key(self, connection: Connection, key_id: str) -> ApiKey:
        row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no key {quoted(key_id)}", key=key_id)
        return _key(row)

    @reading
    def keys(
        self, connection: Connection, tenant: str, after: tuple[float, str] | None = None, limit: int | None = None
    ) -> list[ApiKey]:
        place = (api_keys.c.created_at, api_keys.c.id)
        found = select(api_keys).where(api_keys.c.tenant == tenant).order_by(*place).limit(limit)
        if after is not None:
            found = found.where(tuple_(*place) > after)
        return [_key(row) for row in connection.execute(found)]

    @reading
    def any_admin_key(self, connection: Connection) -> bool:
        return bool(_ruling(connection, self.clock(), locked=False))

    @writing
    def replace_key(self, connection: Connection, key_id: str, successor: ApiKey, ends_at: float) -> None:
        row = connection.execute(select(api_keys).where(api_keys.c.id == key_id).with_for_update()).one_or_none()
        if row is None:
            raise NotFound(f"there is no key {quoted(key_id)}", key=key_id)
        if row.replaced_by is not None:
            raise _has_successor(key_id, row.replaced_by)
        connection.execute(insert(api_keys), asdict(successor))
        ends = ends_at if row.expires_at is None else min(row.expires_at, ends_at)
        changed = {"expires_at": ends, "replaced_by": successor.id}
        connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(changed))

    @writing
    def revoke_keys(self, connection: Connection, key_ids: Sequence[str], admin_until: float) -> None:
        now = self.clock()
        refuse_last_admin(connection, key_ids, now, admin_until)
        live = update(api_keys).where(api_keys.c.id.in_(key_ids), api_keys.c.revoked_at.is_(None))
        connection.execute(live.values(revoked_at=now))


def _has_successor(key_id: str, successor: str) -> WrongState:
    """What is said of a key that is rotated again: another successor would be one that nobody counts on."""
    return WrongState(
        f"key {key_id} has a successor already, {successor}: rotate that one where its credential was lost, and revoke "
        f"{key_id} to end it before its time",
        key=key_id,
        successor=successor,
    )


def refuse_last_admin(connection: Connection, key_ids: Sequence[str], now: float, admin_until: float) -> None:
    """Raises LastAdminKey where nobody could rule over tenants and keys until `admin_until` without these keys.

    All working admin keys are locked, in one order: of two that revoke each other's at once the second sees what the
    first did.
    """
    ruling = _ruling(connection, now, locked=True)
    lost = [end for id_, end in ruling.items() if id_ in key_ids]
    spare = max((end for id_, end in ruling.items() if id_ not in key_ids), default=0.0)
    if lost and spare < min(max(lost), admin_until):
        raise _last_admin([id_ for id_ in ruling if id_ in key_ids], spare - now)


def _ruling(connection: Connection, now: float, *, locked: bool) -> dict[str, float]:
    """When each key that works and has scope ADMIN ends, by id."""
    lasting = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    ruling = type_coerce(api_keys.c.scopes, Text).contains(f'"{Scope.ADMIN}"')
    found = select(api_keys).where(api_keys.c.revoked_at.is_(None), lasting, ruling).order_by(api_keys.c.id)
    if locked:
        found = found.with_for_update()
    return {row.id: math.inf if row.expires_at is None else row.expires_at for row in connection.execute(found)}


def _last_admin(key_ids: Sequence[str], left_s: float) -> LastAdminKey:
    others = f"the others end in {left_s / 3600:.1f} hours" if left_s > 0 else "there is no other one"
    return LastAdminKey(
        f"key {', '.join(key_ids)} is the last one with scope admin, and nobody could rule over tenants and keys "
        f"without it ({others}): create another that works for a week at least, then let go of this one",
        keys=list(key_ids),
    )


def _key(row: AnyRow) -> ApiKey:
    return ApiKey(**{**row._asdict(), "scopes": tuple(Scope(one) for one in row.scopes)})
