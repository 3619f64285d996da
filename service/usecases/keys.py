"""Keys: the only credential. `holo_<key id>_<secret>`; shown once, kept as a hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import InvalidInput, NotAuthenticated, NotFound, quoted
from service.records import ApiKey, Scope
from service.usecases.context import Context
from service.usecases.labels import checked_name, is_one_line, refuse_hidden

PREFIX = "holo"
KEY_ID_BYTES = 8
SECRET_BYTES = 32
ROTATION_GRACE_S = 24 * 3600.0
"""How long a key goes on working after its successor was made."""
MAX_GRACE_S = 30 * 24 * 3600.0
ADMIN_FOR_S = 7 * 24 * 3600.0
"""A key with scope ADMIN is let go of only where another one works so long: time enough to notice, and to make more."""
MAX_KEY_NAME = 100
FIRST_KEY_NAME = "first admin key"
UNKNOWN_SHA256 = hashlib.sha256(b"").hexdigest()
"""What the secret of an unknown key is compared with: that takes as long as with one that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made. `credential` is what the user sends; nobody can be shown it again."""

    key: ApiKey
    credential: str


def create_key(
    context: Context, tenant: str, name: str, scopes: Sequence[Scope], expires_at: float | None = None
) -> NewKey:
    """A new key of the tenant.

    Raises:
        TenantNotFound: there is no such tenant.
        InvalidInput: no scope, an end that is past, or a name that is blank, longer than `MAX_KEY_NAME` or holds
            control or hidden characters.
    """
    _check_key_name(name)
    made = _new_key(context, tenant, name, scopes, expires_at)
    context.registry.add_key(made.key)
    return made


def _new_key(
    context: Context, tenant: str, name: str, scopes: Sequence[Scope], expires_at: float | None = None
) -> NewKey:
    """The same, not written down yet."""
    checked_name(tenant, "tenant")
    if not scopes:
        raise InvalidInput(f"a key needs a scope: {', '.join(Scope)}")
    now = context.clock()
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("the key would have expired already", expires_at=expires_at)
    secret = secrets.token_hex(SECRET_BYTES)
    key = ApiKey(
        id=secrets.token_hex(KEY_ID_BYTES),
        tenant=tenant,
        name=name,
        secret_sha256=_sha256(secret),
        scopes=tuple(scope for scope in Scope if scope in scopes),
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    return NewKey(key=key, credential=f"{PREFIX}_{key.id}_{secret}")


def _check_key_name(name: str) -> None:
    """Not asked of a successor: it has the name that its key had."""
    if not 1 <= len(name) <= MAX_KEY_NAME:
        raise InvalidInput(f"the name of the key has {len(name)} characters; 1 to {MAX_KEY_NAME} are allowed")
    if not name.strip() or not is_one_line(name):
        raise InvalidInput(f"the name of the key, {name!a}, is blank, holds control characters or is not valid UTF-8")
    refuse_hidden("name of the key", name)


def create_key_of_any(context: Context, tenant: str, name: str, scopes: Sequence[Scope]) -> NewKey:
    """The same of a tenant that is made where it is not there, for whoever runs the service. Raises InvalidInput."""
    _check_key_name(name)
    made = _new_key(context, tenant, name, scopes)
    context.registry.ensure_tenant(tenant)
    context.registry.add_key(made.key)
    return made


def create_first_admin_key(context: Context, tenant: str) -> NewKey | None:
    """A key of every scope for whoever sets the service up; None when an admin key works already.

    The tenant is made when it is not there. Raises InvalidInput for its name.
    """
    checked_name(tenant, "tenant")
    if context.registry.any_admin_key():
        return None
    context.registry.ensure_tenant(tenant)
    return create_key(context, tenant, FIRST_KEY_NAME, tuple(Scope))


def list_keys(
    context: Context, tenant: str, after: tuple[float, str] | None = None, limit: int | None = None
) -> list[ApiKey]:
    """The tenant's keys, oldest first; those behind (created_at, id), at most `limit`, where given.

    Raises TenantNotFound.
    """
    context.registry.tenant(tenant)
    return context.registry.keys(tenant, after, limit)


def show_key(context: Context, tenant: str, key_id: str) -> ApiKey:
    """One key of the tenant. Raises NotFound."""
    return _key_of(context, tenant, key_id)


def rotate_key(context: Context, tenant: str, key_id: str, grace_s: float = ROTATION_GRACE_S) -> NewKey:
    """A successor with the same name, scopes and length of life; the key itself works for `grace_s` seconds more.

    A key has one successor: were there several, an end that the first rotation set would be taken for the key's own.

    Raises:
        NotFound: the tenant has no such key.
        WrongState: it was rotated already; names the successor.
        InvalidInput: it does not work any more, or `grace_s` is not 0 to `MAX_GRACE_S`.
    """
    if not 0 <= grace_s <= MAX_GRACE_S:
        raise InvalidInput(f"grace_s is {grace_s}; 0 to {MAX_GRACE_S:.0f} seconds are possible", grace_s=grace_s)
    former = _key_of(context, tenant, key_id)
    now = context.clock()
    if not works(former, now):
        raise InvalidInput(f"key {key_id} does not work any more: create a new one", key=key_id)
    lives_s = None if former.expires_at is None else former.expires_at - former.created_at
    fresh = _new_key(context, tenant, former.name, former.scopes, None if lives_s is None else now + lives_s)
    context.registry.replace_key(key_id, fresh.key, now + grace_s)
    return fresh


def revoke_key(context: Context, tenant: str, key_id: str) -> ApiKey:
    """End a key now; one that has ended stays as it is.

    Raises:
        NotFound: the tenant has no such key.
        LastAdminKey: nobody could rule over tenants and keys without it, now or within `ADMIN_FOR_S`.
    """
    _key_of(context, tenant, key_id)
    context.registry.revoke_keys([key_id], context.clock() + ADMIN_FOR_S)
    return context.registry.key(key_id)


def authenticate(context: Context, credential: str) -> ApiKey:
    """The key that a credential belongs to. Raises NotAuthenticated, in the same words whatever is wrong with it."""
    prefix, _, rest = credential.partition("_")
    key_id, _, secret = rest.partition("_")
    try:
        key = context.registry.key(key_id)
        known = key.secret_sha256
    except (NotFound, InvalidInput):
        key, known = None, UNKNOWN_SHA256
    matches = hmac.compare_digest(_sha256(secret), known)
    if key is None or not matches or prefix != PREFIX or not works(key, context.clock()):
        raise NotAuthenticated("the key is unknown, has expired or was revoked: send a valid one as a bearer token")
    return key


def works(key: ApiKey, now: float) -> bool:
    """Is the key neither revoked nor expired?"""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def _key_of(context: Context, tenant: str, key_id: str) -> ApiKey:
    key = context.registry.key(key_id)
    if key.tenant != tenant:
        raise NotFound(f"there is no key {quoted(key_id)}", key=key_id)
    return key


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
