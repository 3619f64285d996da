"""One fault after the other on one machine: load, strike, mend, wait for rest, examine."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bench.faults_checks import Findings, examine
from scripts.bench.faults_kinds import Fault, Scene, kinds_for
from scripts.bench.faults_load import Load
from scripts.bench.faults_machine import Machine
from scripts.bench.faults_patience import Patience, Progress
from scripts.bench.faults_prober import Prober
from scripts.bench.faults_processes import GaveUp
from scripts.bench.faults_tenants import CATALOGUE, Tenant, new_tenant
from service.bootstrap import open_context
from service.errors import HolotypeError
from service.usecases.context import Context

TENANTS = 3
BASE_PICTURES = 32
MOST_PICTURES = 120
"""A tenant has no more when a fault begins: the run's length must not change what is measured."""
MOST_REPEATED = 6
"""Times that an operation is done while a fault lasts."""
REST_S = 120.0
KINDS = ("lost", "doubled", "torn", "orphans", "unrest")
OTHERS = (
    *("upload", "command", "optimise", "activate", "classify", "relabel", "delete", "relabel", "delete") * 2,
    "strip",
)


@dataclass(slots=True)
class Round:
    """One fault: what it was, what was found after it, seconds until the system was at rest again."""

    number: int
    fault: str
    detail: str | None
    operations: list[str]
    recovery_s: float
    found: dict[str, list[str]]


@dataclass(slots=True)
class Run:
    """A machine under load."""

    machine: Machine
    context: Context
    tenants: list[Tenant]
    load: Load
    prober: Prober
    rng: random.Random
    rounds: list[Round] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def strike(self, fault: Fault) -> Round:
        """One fault under load, and what it left behind."""
        for tenant in self.tenants:
            self.load.trim(tenant, self.rng, MOST_PICTURES)
        operations, over = self._operations(fault), threading.Event()
        threads = [self._started(name, tenant, over) for name, tenant in operations]
        time.sleep(self.rng.uniform(0.2, 2.0))
        detail = fault.strike(Scene(self.machine, self.load, self.rng))
        struck = time.monotonic()
        over.set()
        for thread in threads:
            thread.join()
        found = self._at_rest()
        took = time.monotonic() - struck
        torn = [sentence for sentence in self.prober.torn if sentence not in self.known]
        found["torn"] = [*found["torn"], *torn]
        found["lost"] = [*found["lost"], *(one for one in self.load.errors if one not in self.known)]
        self.known.update(sentence for kind in found.values() for sentence in kind)
        names = [name for name, _ in operations]
        self.rounds.append(Round(len(self.rounds) + 1, fault.name, detail, names, took, found))
        return self.rounds[-1]

    def _operations(self, fault: Fault) -> list[tuple[str, Tenant]]:
        names = [fault.needs, "ingest" if fault.needs != "ingest" else "upload"]
        names += self.rng.sample(OTHERS, 2)
        return [(name, self.rng.choice(self.tenants)) for name in names]

    def _started(self, name: str, tenant: Tenant, over: threading.Event) -> threading.Thread:
        """The operation in a thread of its own, again and again until the fault is over."""
        operation: Callable[[Tenant, random.Random], None] = getattr(self.load, name)
        seed = random.Random(self.rng.random())

        def work() -> None:
            for _ in range(MOST_REPEATED):
                try:
                    operation(tenant, seed)
                except Exception as error:  # noqa: BLE001 -- whatever it was, it was not done, and that is told
                    self.load.errors.append(f"{tenant.name}: {name}: {type(error).__name__}: {error}")
                    return
                if over.is_set():
                    return

        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _at_rest(self) -> dict[str, list[str]]:
        """What is wrong when nothing has moved for REST_S, neither jobs nor what is found, and was not before."""
        patience, last = Patience(self.load.progress.moved_at, REST_S), None
        while True:
            found = self._examined()
            new = {kind: [one for one in said if one not in self.known] for kind, said in found.kinds().items()}
            if not any(new.values()) or patience.over:
                return new
            if new != last:
                last = new
                patience.renew()
            time.sleep(0.5)

    def _examined(self) -> Findings:
        try:
            return examine(self.context, self.machine, self.tenants)
        except HolotypeError as error:
            return Findings(unrest=[f"it cannot be examined: {error}"])


@contextmanager
def running(folder: Path, seed: int, *, postgresql: bool, tenants: int = TENANTS) -> Iterator[Run]:
    """A machine with tenants, pictures and selections, probed from now on, until the end of the block."""
    with ExitStack() as stack:
        machine = Machine(folder, postgresql=postgresql)
        stack.callback(machine.end)
        machine.start_all()
        context = stack.enter_context(open_context(machine.settings))
        made = [new_tenant(machine.url, machine.admin_key, f"tenant-{n}", seed * 10 + n) for n in range(tenants)]
        load = Load(machine, Progress(context, [one.name for one in made]), {})
        for tenant in made:
            stack.callback(tenant.close)
        with ThreadPoolExecutor(tenants) as pool:
            list(pool.map(lambda tenant: _furnish(context, load, tenant), made))
        prober = Prober(context, made, load.catalogues)
        prober.start()
        stack.callback(prober.stop)
        yield Run(machine, context, made, load, prober, random.Random(seed))


def _furnish(context: Context, load: Load, tenant: Tenant) -> None:
    """Pictures, and two selections, so that there is one to go back to."""
    rng = random.Random(tenant.seed)
    tenant.patient.create_catalogue(CATALOGUE)
    load.catalogues[tenant.name] = context.registry.catalogue(tenant.name, CATALOGUE)
    load.ingest(tenant, rng, BASE_PICTURES)
    for _ in range(2):
        load.optimise(tenant, rng)
    load.catalogues[tenant.name] = context.registry.catalogue(tenant.name, CATALOGUE)
    if load.catalogues[tenant.name].active_selection is None:
        raise GaveUp(f"no selection of {tenant.name} serves after two optimisations: {load.errors}")


def schedule(machine: Machine, faults: int, rng: random.Random) -> tuple[list[Fault], list[str]]:
    """Which fault comes when, every kind before any comes again; and which are skipped, with the reason."""
    kinds, skipped = kinds_for(machine)
    chosen: list[Fault] = []
    while len(chosen) < faults:
        chosen += rng.sample(kinds, len(kinds))
    return chosen[:faults], skipped
