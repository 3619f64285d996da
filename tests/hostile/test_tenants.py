"""Several tenants do everything that the API allows, in any order; after each step what is of the others is as it was.

Nobody reads, counts, changes, deletes or uses up what is another's, learns of it by an error's words, or by how much
the service does for an answer: statements of the database are counted, since time itself is measured badly here.
HOSTILE_STEPS in the environment asks for more steps, HOSTILE_SEED for others.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, event

from service.api.app import create_app
from service.bootstrap import open_context
from service.errors import HolotypeError
from service.ports import DeliverWebhook, Message
from service.records import Quotas, Scope
from service.settings import Settings
from service.usecases.classify import classify
from service.usecases.context import Context
from service.usecases.keys import create_key
from service.usecases.tenants import create_tenant, delete_tenant
from tests.api.filled import picture
from tests.api.operations import Operation, operations
from tests.api.test_two_tenants import ALIASES, IDS, meant, unknown_like, words
from tests.hostile.holdings import Holdings, Reader
from workers.tasks import carry_out

STEPS = int(os.environ.get("HOSTILE_STEPS", "160"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
STEPS_A_RUN = 20
TENANTS = 3
SHARED = "fruit"
"""The name of a catalogue that each tenant may have."""

NEVER = ("follow_job", "import_archive")
"""A stream that ends with its job; and what has a rule of its own."""

WHO = st.integers(0, TENANTS - 1)
CATALOGUES = st.sampled_from([SHARED, "own"])
HEADERS = st.sampled_from([{}, {}, {"Idempotency-Key": "the-same-for-all"}])


@dataclass(slots=True)
class Member:
    """A tenant, and what it is known to have."""

    tenant: str
    client: TestClient
    credential: str
    holdings: Holdings

    def catalogue(self, which: str) -> str:
        """The shared name, or one that no other tenant uses."""
        return which if which == SHARED else f"{self.tenant}-own"


def sent_pictures(tenant: str, first: int) -> list[tuple[str, tuple[str, bytes]]]:
    """Parts of a form: pictures that all tenants have, and one under a label of the tenant's own."""
    shared = [(f"{label}/{n}.png", picture(label, n)) for label in ("lime", "plum") for n in range(first, first + 4)]
    return [("pictures", one) for one in (*shared, (f"{tenant}-label/1.png", picture("apple", first)))]


class Queue:
    """A `ports.JobQueue` that only remembers."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()

    def ping(self) -> None:
        """In memory: it answers."""

    def enqueue(self, message: Message) -> None:
        self.messages.append(message)


class World:
    """The service, without workers of its own: what is queued is done when a test says so."""

    def __init__(self, context: Context, made: Settings) -> None:
        self.queue = Queue()
        self.context = replace(context, queue=self.queue)
        self.app = create_app(self.context, made)
        self.operations = [one for one in operations(self.app) if one.name not in NEVER]
        self.reader = Reader(self.context, made)
        self.numbers = itertools.count()
        self.steps: Counter[str] = Counter()
        self.statements = 0
        self.archive = self._archive()

    def _archive(self) -> bytes:
        """Of a catalogue with a selection that serves: what tenants begin with."""
        create_tenant(self.context, "maker", Quotas())
        client, _ = self.client("maker")
        client.post("/v1/catalogues", json={"name": SHARED})
        client.post(f"/v1/catalogues/{SHARED}/ingests", files=sent_pictures("maker", 0))
        self.work()
        client.post(f"/v1/catalogues/{SHARED}:optimise", json={"trials": 1})
        self.work()
        assert client.get(f"/v1/catalogues/{SHARED}").json()["active_selection"]
        archive = client.get(f"/v1/catalogues/{SHARED}/archive").content
        delete_tenant(self.context, "maker")
        return archive

    @contextmanager
    def counting(self) -> Iterator[None]:
        def counted(*_: object) -> None:
            self.statements += 1

        event.listen(Engine, "before_cursor_execute", counted)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", counted)

    def client(self, tenant: str, scopes: tuple[Scope, ...] = (Scope.READ, Scope.WRITE)) -> tuple[TestClient, str]:
        credential = create_key(self.context, tenant, "test", scopes).credential
        client = TestClient(self.app, raise_server_exceptions=False)
        client.headers["Authorization"] = f"Bearer {credential}"
        return client, credential

    def work(self) -> None:
        """All that is queued, but no call of a webhook."""
        while self.queue.messages:
            message = self.queue.messages.popleft()
            if not isinstance(message, DeliverWebhook):
                carry_out(self.context, message)


class Tenants(RuleBasedStateMachine):
    """Each rule is a step of one tenant (or of whoever runs the service, on one); then all others are looked at."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.members: list[Member] = []

    @initialize()
    def tenants(self) -> None:
        """New ones, two of which have much already; those of former runs are gone."""
        number = next(self.world.numbers)
        self.members = [self._member(f"tenant{number}{letter}") for letter in "abc"]
        for one in self.members[:2]:
            for which in (SHARED, "own"):
                with self.step("import", one):
                    files = {"archive": ("a.zip", self.world.archive)}
                    made = one.client.post("/v1/catalogues:import", data={"name": one.catalogue(which)}, files=files)
                    assert made.status_code == 201, made.text

    def teardown(self) -> None:
        for member in self.members:
            delete_tenant(self.world.context, member.tenant)

    def _member(self, tenant: str) -> Member:
        create_tenant(self.world.context, tenant, Quotas())
        client, credential = self.world.client(tenant)
        return Member(tenant, client, credential, self.world.reader.holdings(tenant))

    # ------------------------------------------------------------------------------- checks

    @contextmanager
    def step(self, name: str, *actors: Member) -> Iterator[None]:
        """What happens inside is the doing of `actors`: nothing of anybody else's is different afterwards."""
        self.world.steps[name] += 1
        asked = self.members[self.world.steps.total() % TENANTS]  # all of them, every time, would be most of the work
        before = None if asked in actors else self._answer(asked)
        yield
        for one in self.members:
            now = self.world.reader.holdings(one.tenant)
            if one not in actors:
                assert now == one.holdings, f"{name} by {[each.tenant for each in actors]} changed {one.tenant}"
                assert one is not asked or self._answer(one) == before
            one.holdings = now

    def _answer(self, one: Member) -> object:
        """What it is answered of a picture, without the HTTP API, which would count the request."""
        try:
            (found,) = classify(self.world.context, one.tenant, SHARED, [("a", picture("lime", 900))])
        except HolotypeError as error:
            return type(error).__name__
        return found

    def tells_nothing(self, answer: httpx.Response, asking: Member, sent: Mapping[str, str] | None = None) -> None:
        """The answer holds no id of another tenant's but those that were sent; and it is no defect."""
        assert answer.status_code != 500, (answer.request.method, str(answer.request.url), answer.text[:500])
        told = answer.content + repr(answer.headers.raw).encode()
        for value in sorted((sent or {}).values(), key=len, reverse=True):
            told = told.replace(value.encode(), b"...")
        for other in self.members:
            if other is not asking:
                seen = {one for one in other.holdings.ids if one.encode() in told}
                assert not seen, (answer.request.method, str(answer.request.url), seen)

    @invariant()
    def counts_are_its_own(self) -> None:
        for one in self.members:
            usage = self.world.context.registry.usage(one.tenant)
            assert usage.catalogues == one.holdings.count("catalogues")
            assert usage.examples == one.holdings.count("examples")
            assert sum(map(len, one.holdings.points.values())) == usage.examples

    # ------------------------------------------------------------------------------- what they do

    @rule(who=WHO, which=CATALOGUES)
    def create(self, who: int, which: str) -> None:
        one = self.members[who]
        with self.step("create", one):
            self.tells_nothing(one.client.post("/v1/catalogues", json={"name": one.catalogue(which)}), one)

    @rule(who=WHO, which=CATALOGUES, first=st.integers(0, 4), more=st.sampled_from(["", "true"]), headers=HEADERS)
    def ingest(self, who: int, which: str, first: int, more: str, headers: dict[str, str]) -> None:
        """The same pictures for all: what is known by its content must not be found by it."""
        one = self.members[who]
        sent = sent_pictures(one.tenant, first)
        with self.step("ingest", one):
            path = f"/v1/catalogues/{one.catalogue(which)}/ingests"
            answer = one.client.post(path, files=sent, data={"open": more or "false"}, headers=headers)
            self.tells_nothing(answer, one)
            self.world.work()

    @rule(who=WHO, strategy=st.sampled_from(["medoids", "all"]))
    def optimise(self, who: int, strategy: str) -> None:
        one = self.members[who]
        with self.step("optimise", one):
            answer = one.client.post(f"/v1/catalogues/{SHARED}:optimise", json={"trials": 1, "strategy": strategy})
            self.tells_nothing(answer, one)
            self.world.work()

    @rule(who=WHO, which=CATALOGUES)
    def move(self, who: int, which: str) -> None:
        """An archive of its own, imported under another name and deleted again."""
        one = self.members[who]
        with self.step("export and import", one):
            archive = one.client.get(f"/v1/catalogues/{one.catalogue(which)}/archive")
            self.tells_nothing(archive, one)
            form = {"data": {"name": "copy"}, "files": {"archive": ("a.zip", archive.content)}}
            made = one.client.post("/v1/catalogues:import", **form)
            self.tells_nothing(made, one)
            if made.status_code == 201:
                for other in self.members:
                    if other is not one:
                        assert other.client.get("/v1/catalogues/copy").status_code in (404, 429)
            self.tells_nothing(one.client.delete("/v1/catalogues/copy"), one)

    @rule(who=WHO, data=st.data(), headers=HEADERS)
    def anything(self, who: int, data: st.DataObject, headers: dict[str, str]) -> None:
        """Any operation, on what is its own."""
        one = self.members[who]
        asked = data.draw(st.sampled_from(self.world.operations), label="operation")
        with self.step("any operation", one):
            self.tells_nothing(asked.ask(one.client, self._values(asked, one, data)), one)
            self.world.work()

    @rule(who=WHO, more=st.integers(1, TENANTS - 1), data=st.data())
    def attack_examples(self, who: int, more: int, data: st.DataObject) -> None:
        self._attack(who, more, "example", data)

    @rule(who=WHO, more=st.integers(1, TENANTS - 1), data=st.data())
    def attack_selections(self, who: int, more: int, data: st.DataObject) -> None:
        self._attack(who, more, "selection", data)

    @rule(who=WHO, more=st.integers(1, TENANTS - 1), data=st.data())
    def attack_jobs(self, who: int, more: int, data: st.DataObject) -> None:
        self._attack(who, more, "job", data)

    @rule(who=WHO, more=st.integers(1, TENANTS - 1), data=st.data())
    def attack_webhooks(self, who: int, more: int, data: st.DataObject) -> None:
        self._attack(who, more, "webhook", data)

    @rule(who=WHO, more=st.integers(1, TENANTS - 1), data=st.data())
    def attack_tenants_and_keys(self, who: int, more: int, data: st.DataObject) -> None:
        self._attack(who, more, "tenant", data)

    @rule(who=WHO, more=st.integers(1, TENANTS - 1), data=st.data())
    def attack_catalogues(self, who: int, more: int, data: st.DataObject) -> None:
        self._attack(who, more, "catalogue", data)

    def _attack(self, who: int, more: int, kind: str, data: st.DataObject) -> None:
        """Some operations, on what is another's, or on its own with something of another's among it."""
        one, other = self.members[who], self.members[(who + more) % TENANTS]
        possible = [each for each in self.world.operations if kind in meant(each).values()]
        for asked in data.draw(
            st.lists(st.sampled_from(possible), min_size=2, max_size=4, unique_by=lambda each: each.name), label="asked"
        ):
            kinds = meant(asked)
            theirs = {name: self._one_of(other, kind, data) for name, kind in kinds.items()}
            if len(kinds) > 1 and data.draw(st.booleans(), label="mixed"):
                own = data.draw(st.sampled_from(sorted(kinds)), label="own")
                theirs[own] = self._one_of(one, kinds[own], data)
            known = {name: value for name, value in theirs.items() if value in self._known(one)}
            unknown = unknown_like(theirs) | known
            with self.step("attack", one):
                told, effort = self._asked(asked, one, theirs)
                expected, usual = self._asked(asked, one, unknown)
                self.tells_nothing(told, one, theirs)
                assert words(told, theirs) == words(expected, unknown), asked.name
                assert effort == usual, f"{asked.name} does {effort} statements for another's, {usual} for nobody's"
                assert not asked.in_path or not told.is_success or set(asked.in_path) <= known.keys(), asked.name

    def _asked(self, asked: Operation, one: Member, values: Mapping[str, str]) -> tuple[httpx.Response, int]:
        self.world.statements = 0
        with self.world.counting():
            answer = asked.ask(one.client, values)
        return answer, self.world.statements

    # ------------------------------------------------------------------------------- what whoever runs it does

    @rule(who=WHO, catalogues=st.sampled_from([None, 0, 1, 2]), examples=st.sampled_from([None, 0, 9, 30]))
    def set_quotas(self, who: int, catalogues: int | None, examples: int | None) -> None:
        one = self.members[who]
        with self.step("quotas", one):
            self.world.context.registry.change_quotas(one.tenant, {"catalogues": catalogues, "examples": examples})

    @rule(who=WHO, allowed=st.integers(0, 3))
    def exhaust(self, who: int, allowed: int) -> None:
        """One asks until it may not; the others are answered as before."""
        one = self.members[who]
        with self.step("exhaust", one):
            self.world.context.registry.change_quotas(one.tenant, {"requests_per_minute": allowed})
            asked = [one.client.get("/v1/me").status_code for _ in range(allowed + 2)]
            assert asked[-1] == 429
            for other in self.members:
                if other is not one:
                    assert other.client.get("/v1/me").status_code == 200
            self.world.context.registry.change_quotas(one.tenant, {"requests_per_minute": None})

    @rule(who=WHO)
    def revoke(self, who: int) -> None:
        """A key ends at once, with its tenant's other keys and everybody else's going on."""
        one = self.members[who]
        with self.step("revoke", one):
            former, (one.client, one.credential) = one.client, self.world.client(one.tenant)
            key_id = former.headers["Authorization"].split("_")[1]
            self.world.context.registry.revoke_keys([key_id], 0.0)
            assert former.get("/v1/me").status_code == 401
            assert all(other.client.get("/v1/me").status_code == 200 for other in self.members)

    @rule(who=WHO)
    def read_only(self, who: int) -> None:
        one = self.members[who]
        reader, _ = self.world.client(one.tenant, (Scope.READ,))
        with self.step("read only", one):
            assert reader.post("/v1/catalogues", json={"name": "written"}).status_code == 403
            assert reader.delete(f"/v1/catalogues/{SHARED}").status_code == 403
            assert reader.get("/v1/tenants").status_code == 403

    @rule(who=WHO)
    def replace_tenant(self, who: int) -> None:
        """Deleted with all it had; who comes by that name afterwards finds nothing of it."""
        one = self.members[who]
        with self.step("delete tenant", one):
            delete_tenant(self.world.context, one.tenant)
            gone = self.world.reader.holdings(one.tenant)
            assert not any(gone.rows.values()), {name: found for name, found in gone.rows.items() if found}
            assert gone.blobs == []
            assert one.client.get("/v1/me").status_code == 401
            fresh = self._member(one.tenant)
            one.client, one.credential = fresh.client, fresh.credential
            assert one.client.get("/v1/catalogues").json()["items"] == []
            assert one.client.get("/v1/jobs").json()["items"] == []

    # ------------------------------------------------------------------------------- what is meant

    def _known(self, one: Member) -> frozenset[str]:
        return one.holdings.ids | {SHARED, f"{one.tenant}-own", f"{one.tenant}-label"}

    def _values(self, asked: Operation, one: Member, data: st.DataObject) -> dict[str, str]:
        found = {name: self._one_of(one, kind, data) for name, kind in self._kinds(asked).items()}
        shared = {name: SHARED for name, kind in self._kinds(asked).items() if kind == "catalogue"}
        return found | (shared if data.draw(st.booleans(), label="shared name") else {})

    def _kinds(self, asked: Operation) -> dict[str, str]:
        found = {name: ALIASES.get(name, name) for name in asked.names() if name in asked.in_path or name in ALIASES}
        return {name: kind for name, kind in found.items() if kind in IDS}

    def _one_of(self, one: Member, kind: str, data: st.DataObject) -> str:
        """Something of a kind that the tenant has, or would have."""
        if kind == "catalogue":
            return one.catalogue("own")
        if kind == "label":
            return f"{one.tenant}-label"
        if kind == "tenant":
            return one.tenant
        table = {
            "example": "examples",
            "selection": "selections",
            "job": "jobs",
            "webhook": "webhooks",
            "key": "api_keys",
        }
        found = self.world.reader.ids(one.holdings, table[kind])
        return data.draw(st.sampled_from(found), label=kind) if found else "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def world() -> Iterator[World]:
    """In memory where the system has such a folder: thousands of small files would be flushed to the disk else."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="holotype-") as folder:
        made = Settings(data_dir=Path(folder) / "data", encoder="pixel", chunk_images=8)
        with open_context(made) as context:
            found = World(context, made)
            with TestClient(found.app):
                yield found
            found.reader.close()


@pytest.mark.timeout(600 + 2 * STEPS)
def test_nobody_gets_at_what_is_anothers(world, record_property):
    machine = type("Bound", (Tenants,), {"world": world})
    profile = settings(
        max_examples=max(1, STEPS // STEPS_A_RUN),
        stateful_step_count=STEPS_A_RUN,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=SEED == 1,
    )
    if SEED == 1:
        run_state_machine_as_test(machine, settings=profile)
    else:
        run_state_machine_as_test(seed(SEED)(machine), settings=profile)
    steps = sum(world.steps.values())
    assert len(world.steps) >= 8, world.steps
    assert world.steps["attack"] > STEPS // 10, world.steps
    assert steps > STEPS // 3
    record_property("tenant_steps", steps)
    record_property("tenant_kinds_of_steps", len(world.steps))
    record_property("tenant_attacks", world.steps["attack"])
