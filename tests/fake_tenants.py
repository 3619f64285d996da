"""Tenants, their keys and quotas of the registry in dictionaries; the rest is in `fake_jobs` and `fake_registry`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

from service.errors import AlreadyExists, Busy, LastAdminKey, NotFound, TenantNotFound, WrongState
from service.records import ApiKey, ItemState, JobState, Quotas, RememberedRequest, Scope, Tenant, Usage
from service.usecases.quotas import limits_anything, refuse_beyond, sealed_asked

FINAL = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
FOREVER = float("inf")


def locked(method):
    @wraps(method)
    def wrapper(self, *args, **kwargs):
        with self._lock:
            return method(self, *args, **kwargs)

    return wrapper


class FakeTenants:
    rows: dict[str, Any]
    job_rows: dict[str, Any]
    example_rows: dict[tuple[str, str], Any]

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self.tenant_rows: dict[str, Tenant] = {}
        self.key_rows: dict[str, ApiKey] = {}
        self.request_rows: dict[tuple[str, str], tuple[RememberedRequest, float]] = {}

    @locked
    def ensure_tenant(self, name: str) -> Tenant:
        return self.tenant_rows.setdefault(name, Tenant(name=name, created_at=self.clock(), quotas=Quotas()))

    @locked
    def create_tenant(self, name: str, quotas: Quotas) -> Tenant:
        if name in self.tenant_rows:
            raise AlreadyExists(f"there is a tenant {name!r} already")
        self.tenant_rows[name] = Tenant(name=name, created_at=self.clock(), quotas=quotas)
        return self.tenant_rows[name]

    @locked
    def tenant(self, name: str) -> Tenant:
        if name not in self.tenant_rows:
            raise TenantNotFound(f"there is no tenant {name!r}")
        return self.tenant_rows[name]

    @locked
    def tenants(self, after: str | None = None, limit: int | None = None) -> list[Tenant]:
        found = sorted(self.tenant_rows.values(), key=lambda one: one.name)
        return [one for one in found if after is None or one.name > after][:limit]

    @locked
    def change_quotas(self, name: str, changes: Mapping[str, int | None]) -> Tenant:
        former = self.tenant(name)
        self.tenant_rows[name] = replace(former, quotas=replace(former.quotas, **changes))
        return self.tenant_rows[name]

    @locked
    def usage(self, tenant: str) -> Usage:
        own = {one.id for one in self.rows.values() if one.tenant == tenant}
        open_jobs = [row for row in self.job_rows.values() if row.job.tenant == tenant and row.job.state not in FINAL]
        return Usage(
            catalogues=len(own),
            examples=sum(one.catalogue_id in own for one in self.example_rows.values()),
            inflight_items=sum(_pending(row) for row in open_jobs if not _unsealed(row)),
            unsealed_items=sum(_pending(row) for row in open_jobs if _unsealed(row)),
        )

    def keep_sealed_within_quotas(self, job_id: str) -> None:
        row = self.job_rows[job_id]
        if row.job.tenant in self.tenant_rows and row.job.parameters.get("open"):
            quotas = self.tenant_rows[row.job.tenant].quotas
            self.keep_within_quotas(row.job.tenant, sealed_asked(quotas, _pending(row)))

    def keep_within_quotas(self, tenant: str, asked: Usage) -> None:
        found = self.tenant_rows.get(tenant)
        if found is not None and limits_anything(found.quotas, asked):
            refuse_beyond(found, self.usage(tenant), asked)

    @locked
    def delete_tenant(self, name: str) -> None:
        self.tenant(name)
        if self.usage(name).catalogues:
            raise Busy(f"tenant {name!r} has catalogues")
        own = [key.id for key in self.keys(name)]
        self.revoke_keys(own, self.clock())
        for key_id in own:
            del self.key_rows[key_id]
        self.request_rows = {place: row for place, row in self.request_rows.items() if place[0] != name}
        del self.tenant_rows[name]

    @locked
    def add_key(self, key: ApiKey) -> None:
        self.tenant(key.tenant)
        self.key_rows[key.id] = key

    @locked
    def key(self, key_id: str) -> ApiKey:
        if key_id not in self.key_rows:
            raise NotFound(f"there is no key {key_id!r}")
        return self.key_rows[key_id]

    @locked
    def keys(self, tenant: str, after: tuple[float, str] | None = None, limit: int | None = None) -> list[ApiKey]:
        found = sorted((one for one in self.key_rows.values() if one.tenant == tenant), key=_place)
        return [one for one in found if after is None or _place(one) > after][:limit]

    @locked
    def any_admin_key(self) -> bool:
        return any(self._rules(one) for one in self.key_rows.values())

    @locked
    def replace_key(self, key_id: str, successor: ApiKey, ends_at: float) -> None:
        key = self.key(key_id)
        if key.replaced_by is not None:
            raise WrongState(f"key {key_id} has a successor", key=key_id, successor=key.replaced_by)
        self.add_key(successor)
        self.key_rows[key_id] = replace(key, expires_at=min(ends_at, _end(key)), replaced_by=successor.id)

    @locked
    def revoke_keys(self, key_ids: Sequence[str], admin_until: float) -> None:
        ruling = {key.id: _end(key) for key in self.key_rows.values() if self._rules(key)}
        lost = [end for id_, end in ruling.items() if id_ in key_ids]
        spare = [end for id_, end in ruling.items() if id_ not in key_ids]
        if lost and max(spare, default=0.0) < min(max(lost), admin_until):
            last = [id_ for id_ in ruling if id_ in key_ids]
            raise LastAdminKey(f"key {', '.join(last)} is the last one with scope admin", keys=last)
        for key_id in key_ids:
            key = self.key_rows.get(key_id)
            if key is not None and key.revoked_at is None:
                self.key_rows[key_id] = replace(key, revoked_at=self.clock())

    @locked
    def remember_request(self, tenant: str, key: str, request_sha256: str) -> RememberedRequest:
        fresh = (RememberedRequest(request_sha256=request_sha256, answer=None), self.clock())
        return self.request_rows.setdefault((tenant, key), fresh)[0]

    @locked
    def answer_request(self, tenant: str, key: str, answer: Mapping[str, Any]) -> None:
        if (tenant, key) in self.request_rows:
            row, made_at = self.request_rows[tenant, key]
            self.request_rows[tenant, key] = (replace(row, answer=dict(answer)), made_at)

    @locked
    def forget_request(self, tenant: str, key: str) -> None:
        if (tenant, key) in self.request_rows and self.request_rows[tenant, key][0].answer is None:
            del self.request_rows[tenant, key]

    @locked
    def forget_requests(self, before: float) -> int:
        old = [place for place, (_, made_at) in self.request_rows.items() if made_at < before]
        for place in old:
            del self.request_rows[place]
        return len(old)

    def _rules(self, key: ApiKey) -> bool:
        return Scope.ADMIN in key.scopes and key.revoked_at is None and _end(key) > self.clock()


def _end(key: ApiKey) -> float:
    return FOREVER if key.expires_at is None else key.expires_at


def _place(key: ApiKey) -> tuple[float, str]:
    return (key.created_at, key.id)


def _pending(row) -> int:
    return sum(item.state is ItemState.PENDING for item in row.items)


def _unsealed(row) -> bool:
    return row.job.state is JobState.OPENING and bool(row.job.parameters.get("open"))
