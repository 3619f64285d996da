"""The application over the embedded parts as they are, with the numeric encoder, and its workers in threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.bootstrap import open_context
from service.records import Quotas, Scope
from service.settings import Settings
from service.usecases.context import Context
from service.usecases.keys import create_key
from service.usecases.tenants import create_tenant
from workers.embedded import embedded_workers

EVERY_SCOPE = tuple(Scope)


@dataclass(frozen=True, slots=True)
class Api:
    """An application that answers, and whom it answers."""

    context: Context
    settings: Settings
    client: TestClient

    def as_tenant(self, tenant: str, scopes: tuple[Scope, ...] = EVERY_SCOPE) -> TestClient:
        """A client with a fresh key of the tenant, which is made when it is not there."""
        self.context.registry.ensure_tenant(tenant)
        key = create_key(self.context, tenant, "test", scopes)
        client = TestClient(self.client.app, raise_server_exceptions=False)
        client.headers["Authorization"] = f"Bearer {key.credential}"
        return client


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path / "data", encoder="pixel", sweep_interval_s=0.5)


@pytest.fixture
def context(settings) -> Iterator[Context]:
    with open_context(settings, micro_batches=True) as opened, embedded_workers(opened, settings):
        yield opened


@pytest.fixture
def api(context, settings) -> Iterator[Api]:
    app = create_app(context, settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(context, settings, client)


@pytest.fixture
def acme(api) -> TestClient:
    """A client with every scope of tenant "acme"."""
    create_tenant(api.context, "acme", Quotas())
    return api.as_tenant("acme")
