"""Two tenants that hold the same: neither ever sees an id or a name of the other's, by any route of the description.

A route that somebody adds is asked, too. A parameter that this test knows nothing of makes it fail: add it to `Owner`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service.records import JobKind, Scope, Webhook
from service.usecases.context import Context
from tests.api.filled import ingest, optimise, write_fruit
from tests.api.operations import Operation, operations

SHARED, LABEL = "fruit", "lime"
"""The catalogue's name and a label that both tenants use."""

IDS = ("catalogue", "label", "example", "selection", "job", "webhook", "key", "tenant")
"""Parameters of paths that name something of a tenant's."""

ALIASES = {"with": "selection", "ids": "example", "id": "example", "examples": "example", "catalogues": "catalogue"}
"""Names by which queries and bodies mean one of `IDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A tenant that has everything, in the shared catalogue and in one of its own name, and what must not be seen."""

    tenant: str
    client: TestClient
    values: Mapping[str, str]
    secrets: frozenset[str]

    def seen_in(self, answer: httpx.Response, sent: Mapping[str, str]) -> set[str]:
        """Its ids and names that an answer holds, headers too, beside those that were sent and are told back."""
        told = answer.content + repr(answer.headers.raw).encode()
        for value in sorted(sent.values(), key=len, reverse=True):
            told = told.replace(value.encode(), b"...")
        return {secret for secret in self.secrets if secret.encode() in told}


@pytest.fixture
def tenants(api, tmp_path) -> tuple[Owner, Owner]:
    """The same pictures for both: what is known by its content must not be found by it either."""
    folder = write_fruit(tmp_path / "pictures", count=6)
    own = {name: write_fruit(tmp_path / name, count=2, labels=(f"{name}-label", "plum")) for name in ("acme", "globex")}
    return _owner(api, "acme", folder, own["acme"]), _owner(api, "globex", folder, own["globex"])


def _owner(api, tenant: str, folder, own) -> Owner:
    context: Context = api.context
    client = api.as_tenant(tenant, (Scope.READ, Scope.WRITE))
    job = ingest(context, tenant, SHARED, folder)
    ingest(context, tenant, f"{tenant}-own", own)
    first, selection = (optimise(context, tenant, SHARED, seed=seed) for seed in (1, 2))
    catalogue, private = (context.registry.catalogue(tenant, name) for name in (SHARED, f"{tenant}-own"))
    waiting = context.registry.open_job(catalogue, JobKind.INGEST, {"path": f"{tenant}-folder"})
    webhook, delivery = _webhook(context, tenant, job.id)
    examples = context.registry.examples(catalogue.id) + context.registry.examples(private.id)
    values = {
        "catalogue": private.name,
        "label": f"{tenant}-label",
        "example": context.registry.examples(catalogue.id)[0].id,
        "selection": selection,
        "job": job.id,
        "webhook": webhook,
        "key": context.registry.keys(tenant)[0].id,
        "tenant": tenant,
    }
    ids = {*values.values(), catalogue.id, private.id, first, waiting.id, delivery, *(one.id for one in examples)}
    return Owner(tenant=tenant, client=client, values=values, secrets=frozenset(ids))


def _webhook(context: Context, tenant: str, job_id: str) -> tuple[str, str]:
    hook = Webhook(
        id=str(uuid.uuid4()),
        tenant=tenant,
        url=f"https://{tenant}.invalid/hook",
        secret="whsec_" + "A" * 32,
        events=("job.done",),
        created_at=context.clock(),
    )
    context.registry.add_webhook(hook, 10)
    return hook.id, context.registry.add_delivery(hook.id, job_id, "job.done", {"job": job_id}).id


def unknown_like(values: Mapping[str, str]) -> dict[str, str]:
    """Values of the same form that nobody has; what is no id of ours is left alone."""
    return {name: _unknown(value) for name, value in values.items()}


def _unknown(value: str) -> str:
    try:
        return str(uuid.uuid4() if value == str(uuid.UUID(value)) else value)
    except ValueError:
        return f"nobody-{uuid.uuid4().hex[:8]}"


def meant(one: Operation) -> dict[str, str]:
    """Which of `IDS` the operation's parameters and properties mean, by their names.

    A label in a query or a body is a word of whoever asks, which others may use as well.
    """
    found = {name: ALIASES.get(name, name) for name in one.names() if name != "label" or name in one.in_path}
    return {name: kind for name, kind in found.items() if kind in IDS}


def cases(one: Operation, asking: Owner, asked: Owner) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """What `asking` may say to get at what is `asked`'s, and the same with ids that nobody has.

    Everything is the other's; and one thing is, the rest is its own.
    """
    kinds = meant(one)
    theirs = {name: asked.values[kind] for name, kind in kinds.items()}
    unknown = unknown_like(theirs)
    yield theirs, unknown
    mine = {name: SHARED if kind == "catalogue" else asking.values[kind] for name, kind in kinds.items()}
    for name, kind in kinds.items():
        if kind != "catalogue" and len(kinds) > 1:
            yield mine | {name: theirs[name]}, mine | {name: unknown[name]}


def words(answer: httpx.Response, values: Mapping[str, str]) -> tuple[int, Any]:
    """Status and body, without what differs because other values were sent."""
    text = answer.text
    for name, value in values.items():
        text = text.replace(value, f"<{name}>")
    try:
        body = json.loads(text)
    except ValueError:
        return answer.status_code, text
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, body


def everything(owner: Owner, context: Context) -> dict[str, Any]:
    """What there is of a tenant, as it sees it."""
    told = {path: owner.client.get(path).json() for path in _own_paths(owner)}
    keys = [key.revoked_at for key in context.registry.keys(owner.tenant)]
    hooks = [hook.id for hook in context.registry.webhooks(owner.tenant)]
    return {"answers": told, "keys": keys, "webhooks": hooks}


def _own_paths(owner: Owner) -> list[str]:
    private, job = owner.values["catalogue"], owner.values["job"]
    places = [f"/v1/catalogues/{name}{rest}" for name in (SHARED, private) for rest in ("", "/examples", "/selections")]
    return [*places, f"/v1/jobs/{job}"]


def test_every_parameter_that_names_something_is_known_here(api):
    """So that a new kind of id is not passed over."""
    for one in operations(api.client.app):
        assert set(one.in_path) <= set(IDS), f"{one.name} has a parameter that this module does not know"


def test_by_no_route_does_anybody_get_at_what_is_anothers(api, tenants):
    asked, asking = tenants
    before = everything(asked, api.context)
    wrong = []
    for one in operations(api.client.app):
        if one.scopes is None or not meant(one):
            continue
        for theirs, unknown in cases(one, asking, asked):
            answer = one.ask(asking.client, theirs)
            told, expected = words(answer, theirs), words(one.ask(asking.client, unknown), unknown)
            if told != expected:
                wrong.append((one.name, theirs, told, expected))
            if asked.seen_in(answer, theirs):
                wrong.append((one.name, theirs, asked.seen_in(answer, theirs)))
            if one.in_path and answer.is_success:
                wrong.append((one.name, theirs, answer.status_code))
    assert not wrong, "\n".join(map(str, wrong))
    assert everything(asked, api.context) == before


def test_lists_and_own_things_hold_nothing_of_anybody_else(api, tenants):
    other, asking = tenants
    seen = {}
    answered = 0
    for one in operations(api.client.app):
        if one.method != "GET" or one.path.endswith("/events"):
            continue
        for catalogue in (SHARED, asking.values["catalogue"]):
            values = asking.values | {"catalogue": catalogue, "with": asking.values["selection"]}
            needed = {name: value for name, value in values.items() if name in one.in_path or name == "with"}
            answer = one.ask(asking.client, needed)
            answered += answer.is_success
            if other.seen_in(answer, needed):
                seen[one.name] = other.seen_in(answer, needed)
    assert seen == {}
    assert answered > 10
