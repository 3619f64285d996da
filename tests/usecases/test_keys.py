"""Keys: who has one, how long it works, and what is looked at when somebody sends one."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import asdict

import pytest

from service.errors import InvalidInput, LastAdminKey, NotAuthenticated, NotFound, TenantNotFound, WrongState
from service.records import Scope
from service.usecases import keys
from service.usecases.keys import (
    ADMIN_FOR_S,
    ROTATION_GRACE_S,
    authenticate,
    create_first_admin_key,
    create_key,
    list_keys,
    revoke_key,
    rotate_key,
    show_key,
)
from tests.fakes import fake_context


@pytest.fixture
def context():
    made = fake_context()
    for tenant in ("acme", "globex"):
        made.registry.ensure_tenant(tenant)
    return made


def test_a_key_names_its_tenant_and_its_secret_is_not_kept(context):
    made = create_key(context, "acme", "till", [Scope.WRITE, Scope.READ, Scope.WRITE])
    assert made.credential.startswith(f"holo_{made.key.id}_")
    assert made.key.scopes == (Scope.READ, Scope.WRITE)
    assert authenticate(context, made.credential) == made.key
    secret = made.credential.rsplit("_", 1)[1]
    assert len(secret) == 64
    assert secret not in repr(asdict(context.registry.key(made.key.id)))


def test_no_two_keys_are_alike(context):
    made = [create_key(context, "acme", "till", [Scope.READ]) for _ in range(20)]
    assert len({one.key.id for one in made}) == len({one.credential for one in made}) == 20


@pytest.mark.parametrize(
    ("name", "scopes", "expires_at"),
    [
        ("", [Scope.READ], None),
        (" ", [Scope.READ], None),
        ("x" * 101, [Scope.READ], None),
        ("x\0y", [Scope.READ], None),
        ("\x1b[31m", [Scope.READ], None),
        ("\ud800", [Scope.READ], None),
        ("x", [], None),
        ("x", [Scope.READ], 1_000_000.0),
    ],
)
def test_what_is_no_key_is_refused(context, name, scopes, expires_at):
    with pytest.raises(InvalidInput):
        create_key(context, "acme", name, scopes, expires_at)
    assert list_keys(context, "acme") == []


def test_a_key_needs_its_tenant(context):
    with pytest.raises(TenantNotFound):
        create_key(context, "nobody", "till", [Scope.READ])
    with pytest.raises(TenantNotFound):
        list_keys(context, "nobody")


def _wrong(credential: str) -> list[str]:
    prefix, key_id, secret = credential.split("_")
    return [
        "",
        "_",
        credential[:-1],
        credential + "0",
        credential.upper(),
        f"halo_{key_id}_{secret}",
        f"{prefix}_{'0' * 16}_{secret}",
        f"{prefix}_{key_id}_{'0' * 64}",
        f"{prefix}_{key_id}_",
        f"{prefix}_{key_id}\0_{secret}",
        f" {credential}",
        "\udcff",
    ]


def test_whatever_is_wrong_with_a_credential_is_told_in_the_same_words(context):
    made = create_key(context, "acme", "till", [Scope.READ])
    told = set()
    for wrong in _wrong(made.credential):
        with pytest.raises(NotAuthenticated) as caught:
            authenticate(context, wrong)
        told.add((caught.value.message, tuple(caught.value.details)))
    revoke_key(context, "acme", made.key.id)
    with pytest.raises(NotAuthenticated) as caught:
        authenticate(context, made.credential)
    told.add((caught.value.message, tuple(caught.value.details)))
    assert len(told) == 1


def test_an_unknown_key_costs_one_hash_and_one_comparison_like_a_known_one(context, monkeypatch):
    made = create_key(context, "acme", "till", [Scope.READ])
    _, key_id, secret = made.credential.split("_")
    work = []

    def counted_sha256(data):
        work.append(("hash", len(data)))
        return hashlib.new("sha256", data)

    def counted_comparison(one, other):
        work.append(("compare", len(one), len(other)))
        return hmac.compare_digest(one, other)

    class Counting:
        sha256 = staticmethod(counted_sha256)
        compare_digest = staticmethod(counted_comparison)

    monkeypatch.setattr(keys, "hashlib", Counting)
    monkeypatch.setattr(keys, "hmac", Counting)
    done = []
    for credential in (made.credential, f"holo_{key_id}_{'0' * 64}", f"holo_{'0' * 16}_{secret}"):
        work.clear()
        with suppress(NotAuthenticated):
            authenticate(context, credential)
        done.append(list(work))
    assert done == [[("hash", 64), ("compare", 64, 64)]] * 3


def test_a_key_works_until_it_ends(context):
    made = create_key(context, "acme", "till", [Scope.READ], context.clock() + 60)
    context.clock.now += 59
    authenticate(context, made.credential)
    context.clock.now += 1
    with pytest.raises(NotAuthenticated):
        authenticate(context, made.credential)


def test_a_rotated_key_works_for_the_grace(context):
    first = create_key(context, "acme", "till", [Scope.READ])
    second = rotate_key(context, "acme", first.key.id)
    assert (second.key.name, second.key.scopes, second.key.expires_at) == ("till", (Scope.READ,), None)
    context.clock.now += ROTATION_GRACE_S - 1
    authenticate(context, first.credential)
    context.clock.now += 1
    with pytest.raises(NotAuthenticated):
        authenticate(context, first.credential)
    authenticate(context, second.credential)


def test_the_successor_of_a_key_that_ends_lives_as_long_and_no_longer(context):
    first = create_key(context, "acme", "till", [Scope.READ], context.clock() + 100)
    context.clock.now += 60
    second = rotate_key(context, "acme", first.key.id)
    assert second.key.expires_at == context.clock() + 100
    assert show_key(context, "acme", first.key.id).expires_at == first.key.expires_at, "the grace prolongs nothing"


def test_a_rotated_key_is_not_rotated_again_and_its_grace_stays(context):
    first = create_key(context, "acme", "till", [Scope.READ])
    second = rotate_key(context, "acme", first.key.id, 60)
    ends = show_key(context, "acme", first.key.id).expires_at
    context.clock.now += 30
    with pytest.raises(WrongState) as caught:
        rotate_key(context, "acme", first.key.id, 3600)
    assert caught.value.details["successor"] == second.key.id
    assert show_key(context, "acme", first.key.id).expires_at == ends
    third = rotate_key(context, "acme", second.key.id, 60)
    assert third.key.expires_at is None, "the end that a rotation set is not inherited"


@pytest.mark.parametrize("grace_s", [-1.0, 1e9, float("nan"), float("inf")])
def test_what_is_no_grace_is_refused_and_makes_no_key(context, grace_s):
    made = create_key(context, "acme", "till", [Scope.READ])
    with pytest.raises(InvalidInput, match="grace_s"):
        rotate_key(context, "acme", made.key.id, grace_s)
    assert len(list_keys(context, "acme")) == 1


@pytest.mark.parametrize("ask", [show_key, rotate_key, revoke_key])
def test_another_tenants_key_is_none(context, ask):
    made = create_key(context, "acme", "till", [Scope.READ])
    with pytest.raises(NotFound) as theirs:
        ask(context, "globex", made.key.id)
    with pytest.raises(NotFound) as unknown:
        ask(context, "globex", "0" * 16)
    assert theirs.value.message == unknown.value.message.replace("0" * 16, made.key.id)
    authenticate(context, made.credential)


def test_the_first_admin_key_is_made_while_no_admin_key_works(context):
    first = create_first_admin_key(context, "default")
    assert first is not None
    assert first.key.tenant == "default"
    assert set(first.key.scopes) == set(Scope)
    assert create_first_admin_key(context, "default") is None
    second = rotate_key(context, "default", first.key.id, 5)
    create_key(context, "default", "soon", [Scope.ADMIN], context.clock() + ADMIN_FOR_S)
    revoke_key(context, "default", second.key.id)
    context.clock.now += ADMIN_FOR_S
    assert create_first_admin_key(context, "default") is not None


def test_the_first_admin_key_needs_a_name_that_can_be_one(context):
    with pytest.raises(InvalidInput, match="name of a tenant"):
        create_first_admin_key(context, "a b")


def test_the_last_admin_key_stays_until_another_lasts_a_week(context):
    first = create_key(context, "acme", "root", [Scope.ADMIN])
    soon = create_key(context, "globex", "soon", [Scope.ADMIN], context.clock() + ADMIN_FOR_S - 1)
    with pytest.raises(LastAdminKey):
        revoke_key(context, "acme", first.key.id)
    authenticate(context, first.credential)
    revoke_key(context, "globex", soon.key.id)
    create_key(context, "globex", "lasting", [Scope.ADMIN], context.clock() + ADMIN_FOR_S)
    assert revoke_key(context, "acme", first.key.id).revoked_at == context.clock()
