"""Keys: the only credential. `holo_<key id>_<secret>`; shown once, kept as a hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import InvalidInput, NotAuthenticated, NotFound
from service.records import ApiKey, Scope
from service.usecases.context import Context
from service.usecases.labels import checked_name

PREFIX = "holo"
KEY_ID_BYTES = 8
SECRET_BYTES = 32
ROTATION_GRACE_S = 24 * 3600.0
"""How long a key goes on working after its successor was made."""
MAX_KEY_NAME = 100
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
        InvalidInput: no scope, a name that is empty or longer than `MAX_KEY_NAME`, or an end that is past.
    """
    checked_name(tenant, "tenant")
    if not scopes:
        raise InvalidInput(f"a key needs a scope: {', '.join(Scope)}")
    if not 1 <= len(name) <= MAX_KEY_NAME:
        raise InvalidInput(f"the name of the key has {len(name)} characters; 1 to {MAX_KEY_NAME} are allowed")
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
    context.registry.add_key(key)
    return NewKey(key=key, credential=f"{PREFIX}_{key.id}_{secret}")


def list_keys(context: Context, tenant: str) -> list[ApiKey]:
    """The tenant's keys, oldest first. Raises TenantNotFound."""
    context.registry.tenant(tenant)
    return context.registry.keys(tenant)


def rotate_key(context: Context, tenant: str, key_id: str, grace_s: float = ROTATION_GRACE_S) -> NewKey:
    """A successor with the same name and scopes; the key itself works for `grace_s` seconds more.

    Raises NotFound, InvalidInput when the key does not work any more.
    """
    former = _key_of(context, tenant, key_id)
    now = context.clock()
    if not works(former, now):
        raise InvalidInput(f"key {key_id} does not work any more: create a new one", key=key_id)
    fresh = create_key(context, tenant, former.name, former.scopes)
    context.registry.expire_key(key_id, now + grace_s)
    return fresh


def revoke_key(context: Context, tenant: str, key_id: str) -> ApiKey:
    """End a key now; one that has ended stays as it is. Raises NotFound."""
    _key_of(context, tenant, key_id)
    context.registry.revoke_key(key_id)
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
        raise NotFound(f"there is no key {key_id!r}", key=key_id)
    return key


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
