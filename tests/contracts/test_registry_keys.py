"""The contract of `ports.Registry`: keys, the last admin key, remembered requests. The fake is held to it, too."""

from __future__ import annotations

import math

import pytest

from service.errors import LastAdminKey, NotFound, TenantNotFound, WrongState
from service.ports import Registry
from service.records import Scope
from tests.contracts.test_registry_concurrency import at_once
from tests.registry_rows import Clock, key_of, outcome

DAY_S = 24 * 3600.0


def test_a_key_is_kept_as_it_is_and_listed_by_age(rows: Registry) -> None:
    for tenant in ("acme", "globex"):
        rows.ensure_tenant(tenant)
    keys = [
        key_of("acme", "c", Scope.READ, Scope.WRITE, made=1.0, ends=5.5),
        key_of("acme", "a", Scope.ADMIN, made=2.0),
        key_of("acme", "b", made=2.0),
    ]
    for key in (*reversed(keys), key_of("globex", "d")):
        rows.add_key(key)
    assert rows.key("c") == keys[0]
    assert rows.keys("acme") == keys
    assert rows.keys("acme", (2.0, "a"), 5) == keys[2:]
    assert rows.keys("acme", (1.0, "c"), 1) == keys[1:2]
    assert rows.keys("nobody") == []
    with pytest.raises(TenantNotFound):
        rows.add_key(key_of("nobody", "e"))
    with pytest.raises(NotFound, match="'x'"):
        rows.key("x")


def test_a_replaced_key_ends_when_it_is_told_to_unless_it_ends_sooner(rows: Registry) -> None:
    rows.ensure_tenant("acme")
    for id_, ends in (("a", None), ("b", 50.0), ("c", 500.0)):
        rows.add_key(key_of("acme", id_, ends=ends))
        rows.replace_key(id_, key_of("acme", f"{id_}2"), 100.0)
    assert [rows.key(id_).expires_at for id_ in "abc"] == [100.0, 50.0, 100.0]
    assert [rows.key(id_).replaced_by for id_ in ("a", "b", "c", "a2")] == ["a2", "b2", "c2", None]


def test_a_key_is_replaced_once(rows: Registry) -> None:
    rows.ensure_tenant("acme")
    rows.add_key(key_of("acme", "a"))
    rows.replace_key("a", key_of("acme", "b"), 100.0)
    with pytest.raises(WrongState) as caught:
        rows.replace_key("a", key_of("acme", "c"), 900.0)
    assert caught.value.details == {"key": "a", "successor": "b"}
    assert (rows.key("a").expires_at, [key.id for key in rows.keys("acme")]) == (100.0, ["a", "b"])
    with pytest.raises(NotFound):
        rows.replace_key("x", key_of("acme", "d"), 100.0)


def test_of_two_rotations_at_once_one_makes_the_successor(registry: Registry) -> None:
    registry.ensure_tenant("acme")
    for number in range(6):
        registry.add_key(key_of("acme", f"{number}"))
        ends = at_once(
            *(
                lambda s=side: outcome(lambda: registry.replace_key(f"{number}", key_of("acme", f"{number}{s}"), 9.0))  # type: ignore[misc] # noqa: B023
                for side in "ab"
            )
        )
        assert sorted(map(str, ends)).count("None") == 1
        made = [key.id for key in registry.keys("acme") if key.id in (f"{number}a", f"{number}b")]
        assert [registry.key(f"{number}").replaced_by] == made


def test_keys_are_revoked_once(rows: Registry, clock: Clock) -> None:
    rows.ensure_tenant("acme")
    for id_ in "abc":
        rows.add_key(key_of("acme", id_))
    rows.revoke_keys(["a"], math.inf)
    first = clock.now
    clock.now += 10
    rows.revoke_keys(["a", "b", "unknown"], math.inf)
    assert [rows.key(id_).revoked_at for id_ in "abc"] == [first, clock.now, None]


def test_an_admin_key_counts_while_it_works(rows: Registry, clock: Clock) -> None:
    rows.ensure_tenant("acme")
    rows.add_key(key_of("acme", "reader", Scope.READ, Scope.WRITE))
    assert not rows.any_admin_key()
    rows.add_key(key_of("acme", "admin", Scope.READ, Scope.ADMIN, ends=clock.now + 10))
    assert rows.any_admin_key()
    clock.now += 10
    assert not rows.any_admin_key()


def test_the_last_admin_key_is_not_let_go_of(rows: Registry, clock: Clock) -> None:
    for tenant in ("acme", "globex"):
        rows.ensure_tenant(tenant)
    rows.add_key(key_of("acme", "a", Scope.ADMIN))
    rows.add_key(key_of("acme", "reader"))
    until = clock.now + 7 * DAY_S
    with pytest.raises(LastAdminKey, match="key a is the last one with scope admin") as caught:
        rows.revoke_keys(["reader", "a"], until)
    assert caught.value.details["keys"] == ["a"]
    assert rows.key("reader").revoked_at is None
    with pytest.raises(LastAdminKey):
        rows.delete_tenant("acme")
    rows.add_key(key_of("globex", "soon", Scope.ADMIN, ends=clock.now + DAY_S))
    with pytest.raises(LastAdminKey):
        rows.revoke_keys(["a"], until)
    rows.revoke_keys(["soon"], until)
    rows.add_key(key_of("globex", "lasting", Scope.ADMIN, ends=until))
    rows.revoke_keys(["a"], until)
    assert rows.any_admin_key()
    rows.delete_tenant("acme")


def test_an_admin_key_that_ends_soon_may_go_when_another_lasts_as_long(rows: Registry, clock: Clock) -> None:
    rows.ensure_tenant("acme")
    for id_ in "ab":
        rows.add_key(key_of("acme", id_, Scope.ADMIN, ends=clock.now + 60))
    rows.revoke_keys(["a"], clock.now + DAY_S)
    with pytest.raises(LastAdminKey):
        rows.revoke_keys(["b"], clock.now + DAY_S)


def test_a_request_is_remembered_until_it_is_forgotten(rows: Registry, clock: Clock) -> None:
    first = rows.remember_request("acme", "k", "1" * 64)
    assert (first.request_sha256, first.answer) == ("1" * 64, None)
    assert rows.remember_request("acme", "k", "2" * 64) == first
    assert rows.remember_request("globex", "k", "2" * 64).request_sha256 == "2" * 64
    rows.answer_request("acme", "k", {"status": 202, "body": {"id": "ürün"}})
    assert rows.remember_request("acme", "k", "1" * 64).answer == {"status": 202, "body": {"id": "ürün"}}
    rows.forget_request("acme", "k")
    assert rows.remember_request("acme", "k", "1" * 64).answer is not None, "an answer is not forgotten early"
    rows.forget_request("globex", "k")
    assert rows.remember_request("globex", "k", "3" * 64).request_sha256 == "3" * 64
    rows.answer_request("nobody", "k", {})
    clock.now += 10
    rows.remember_request("acme", "new", "4" * 64)
    assert rows.forget_requests(clock.now) == 2
    assert rows.remember_request("acme", "k", "5" * 64).request_sha256 == "5" * 64
    assert rows.remember_request("acme", "new", "5" * 64).request_sha256 == "4" * 64


def test_of_two_admins_that_revoke_each_other_at_once_one_is_left(registry: Registry) -> None:
    registry.ensure_tenant("acme")
    for number in range(6):
        for side in "ab":
            registry.add_key(key_of("acme", f"{side}{number}", Scope.ADMIN))
        survivors = [key.id for key in registry.keys("acme") if Scope.ADMIN in key.scopes and key.revoked_at is None]
        others = [id_ for id_ in survivors if not id_.endswith(str(number))]
        registry.revoke_keys(others, math.inf)
        ends = at_once(
            *(lambda s=side: outcome(lambda: registry.revoke_keys([f"{s}{number}"], math.inf)) for side in "ab")  # type: ignore[misc] # noqa: B023
        )
        assert sorted(map(str, ends)).count("None") == 1
        assert registry.any_admin_key()


def test_of_one_request_sent_at_once_one_is_the_first(registry: Registry) -> None:
    for number in range(6):
        remembered = at_once(
            *(lambda d=digit: registry.remember_request("acme", f"{number}", d * 64) for digit in "1234")  # type: ignore[misc] # noqa: B023
        )
        assert len({one.request_sha256 for one in remembered}) == 1  # type: ignore[attr-defined]
