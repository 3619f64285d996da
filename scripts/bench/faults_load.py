"""What tenants do in a fault run: each operation is repeated until the service has done it, as a patient user would."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from scripts.bench.faults_machine import POISON, Machine
from scripts.bench.faults_patience import STILL_S, Patience, Progress
from scripts.bench.faults_processes import GaveUp
from scripts.bench.faults_tenants import CATALOGUE, CLASSES, Accepted, Tenant, label_of
from service.client.problems import ApiProblem
from service.client.routes import jobs
from service.client.routes.jobs import Picture
from service.client.uploads import Upload
from service.errors import ExampleNotFound, HolotypeError, JobFailed, NotFound, Unavailable
from service.records import Catalogue
from service.usecases.context import example_id_of

T = TypeVar("T")

PAUSE_S = 0.4
PICTURES = 16
PASSING = {408, 409, 429, 502, 503, 504}
"""Answers after which a user tries again."""


@dataclass(slots=True)
class Load:
    """Operations by name; `producers` are the commands at work, for whoever kills them."""

    machine: Machine
    progress: Progress
    catalogues: dict[str, Catalogue]
    errors: list[str] = field(default_factory=list)
    producers: dict[str, str] = field(default_factory=dict)

    def ingest(self, tenant: Tenant, _rng: random.Random, count: int = PICTURES) -> None:
        """In one request."""
        pictures = tenant.pictures(count)
        call = jobs.start_ingest(CATALOGUE, pictures)
        job = self.until_done("ingest", lambda: tenant.client.ask(call))
        self._stored(tenant, job.id, pictures)

    def poison(self, tenant: Tenant, _rng: random.Random) -> None:
        """Among pictures one that ends whoever decodes it: it alone is refused, with a reason."""
        pictures, (deadly,) = tenant.pictures(PICTURES), tenant.pictures(1, POISON)
        tenant.poison.add(hashlib.sha256(deadly.content).hexdigest())
        call = jobs.start_ingest(CATALOGUE, [*pictures[:3], deadly, *pictures[3:]])
        job = self.until_done("poison", lambda: tenant.client.ask(call))
        tenant.accepted.append(Accepted(job.id, PICTURES + 1, "ingest"))
        self._finished(tenant, job.id)
        tenant.stored(pictures)

    def upload(self, tenant: Tenant, _rng: random.Random) -> None:
        """In several requests, gone on with where the server fell silent."""
        pictures, job = tenant.pictures(PICTURES), None
        patience = Patience(self.progress.moved_at)
        while True:
            try:
                done = tenant.client.upload(Upload(name=CATALOGUE, job=job), pictures)
                break
            except (HolotypeError, httpx.HTTPError) as error:
                self._check_passing("upload", error, patience, also={400, 404, 422})
                # A job that was given up meanwhile took nothing: another one has to.
                job = error.details.get("job", job) if isinstance(error, Unavailable) else None
                time.sleep(PAUSE_S)
        self._stored(tenant, done.id, pictures)

    def command(self, tenant: Tenant, _rng: random.Random) -> None:
        """By `holotype ingest`, run again until it ends well."""
        pictures = tenant.pictures(PICTURES)
        folder = Path(tempfile.mkdtemp(dir=self.machine.folder, prefix="pictures-"))
        for one in pictures:
            path = folder / one.source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.content)
        patience = Patience(self.progress.moved_at)
        while (report := self._run(tenant, folder, patience)) is None:
            if patience.over:
                raise GaveUp(f"holotype ingest did not end well while nothing moved for {STILL_S:.0f} s")
            time.sleep(PAUSE_S)
        shutil.rmtree(folder)
        if report["failed"]:
            self.errors.append(f"holotype ingest refused pictures: {report['errors']}")
        tenant.accepted.append(Accepted(report["job"], len(pictures), "ingest"))
        tenant.stored(pictures)

    def _run(self, tenant: Tenant, folder: Path, patience: Patience) -> dict | None:
        """One run of the command: its report, None where it was killed or ended badly."""
        name = f"producer-{folder.name}"
        words = ["--tenant", tenant.name, "--json", "ingest", CATALOGUE, str(folder)]
        process = self.machine.processes.start(
            name, [self.machine.program, *words], self.machine.environment(name), answers=True
        )
        self.producers[name] = tenant.name
        try:
            told = _told(process, patience)
        except ValueError:  # when it was killed under our hands
            told = ""
        finally:
            self.producers.pop(name, None)
            if self.machine.processes.running.get(name) is process:
                self.machine.processes.kill(name)
        return json.loads(told) if process.returncode == 0 and told else None

    def optimise(self, tenant: Tenant, rng: random.Random) -> None:
        """Another selection, which serves where the gate lets it."""
        call = jobs.optimise(CATALOGUE, {"trials": 2, "seed": rng.randrange(1000)})
        with tenant.changing(publishing=True):
            job = self.until_done("optimise", lambda: tenant.client.ask(call))
            tenant.accepted.append(Accepted(job.id, 0, "optimise"))
            self._finished(tenant, job.id)

    def activate(self, tenant: Tenant, rng: random.Random) -> None:
        """A former selection serves again."""
        listed = self.until_done("selections", lambda: tenant.client.list_selections(CATALOGUE)).items
        former = [one.id for one in listed if one.state == "retired"]
        if former:
            chosen = rng.choice(former)
            with tenant.changing(publishing=True):
                self.until_done("activate", lambda: tenant.client.activate_selection(CATALOGUE, chosen))

    def classify(self, tenant: Tenant, _rng: random.Random) -> None:
        """In bulk; each picture is answered once."""
        pictures = [Picture(source=name, content=content) for name, content in tenant.queries]
        call = jobs.start_ingest(CATALOGUE, pictures, classify=True)
        job = self.until_done("classify", lambda: tenant.client.ask(call))
        tenant.accepted.append(Accepted(job.id, len(pictures), "classify"))
        self._finished(tenant, job.id)
        answers = self.until_done("results", lambda: tenant.client.job_results(job.id))
        if [one.path for one in answers] != [name for name, _ in tenant.queries]:
            self.errors.append(f"job {job.id} answered {[one.path for one in answers]}")
        self.errors.extend(f"job {job.id} refused {one.path}: {one.error}" for one in answers if one.error)

    def relabel(self, tenant: Tenant, rng: random.Random) -> None:
        """One example gets another label."""
        hashes, label = tenant.reserve(rng, 1), label_of(rng.randrange(CLASSES))
        if not hashes:
            return
        (example,) = self._ids(tenant, hashes)
        with tenant.changing(members=True):
            self.until_done("relabel", lambda: tenant.client.relabel_example(CATALOGUE, example, label))
            tenant.released(hashes, label)

    def delete(self, tenant: Tenant, rng: random.Random) -> None:
        """Some examples go."""
        self._delete(tenant, tenant.reserve(rng, 3))

    def strip(self, tenant: Tenant, rng: random.Random) -> None:
        """All references that serve go, or as many as leave half of the examples; then others are chosen."""
        self._delete(tenant, tenant.reserve(rng, len(tenant.expected) // 2, self._serving(tenant)))
        self.optimise(tenant, rng)

    def _serving(self, tenant: Tenant) -> set[str]:
        """Content hashes of the active selection's members."""
        registry, catalogue = self.progress.context.registry, self.catalogues[tenant.name]
        active = registry.catalogue_by_id(catalogue.id).active_selection
        members = [] if active is None else [one.example_id for one in registry.members(active)]
        return {one.content_hash for one in registry.examples_by_id(catalogue.id, members).values()}

    def _delete(self, tenant: Tenant, hashes: list[str]) -> None:
        """When a first try did it unanswered, the second finds none: that is done, too."""
        with tenant.changing(members=True):
            ids = self._ids(tenant, hashes)

            def drop() -> None:
                for example in ids:
                    try:
                        tenant.client.drop_example(CATALOGUE, example)
                    except (ExampleNotFound, NotFound):
                        continue

            self.until_done("delete", drop)
            tenant.released(hashes, None)

    def trim(self, tenant: Tenant, rng: random.Random, most: int) -> None:
        """Delete what is more than `most`, in one request, while nothing goes wrong."""
        hashes = tenant.reserve(rng, max(0, len(tenant.expected) - most))
        if hashes:
            ids = self._ids(tenant, hashes)
            with tenant.changing(members=True):
                self.until_done("trim", lambda: tenant.patient.drop_examples(CATALOGUE, ids))
                tenant.released(hashes, None)

    def until_done(self, what: str, ask: Callable[[], T]) -> T:
        """What the service answers once it does. Raises GaveUp."""
        patience = Patience(self.progress.moved_at)
        while True:
            try:
                return ask()
            except (HolotypeError, httpx.HTTPError) as error:
                self._check_passing(what, error, patience)
            time.sleep(PAUSE_S)

    def _check_passing(
        self, what: str, error: Exception, patience: Patience, also: frozenset | set = frozenset()
    ) -> None:
        """Raises GaveUp for an answer that waiting does not mend, or after waiting long enough."""
        status = getattr(error, "status", None)
        if isinstance(error, ApiProblem) and status not in PASSING | also:
            raise GaveUp(f"{what} was answered {status}: {error}") from error
        if patience.over:
            raise GaveUp(f"{what} was not done while nothing moved for {STILL_S:.0f} s: {error}") from error

    def _ids(self, tenant: Tenant, hashes: list[str]) -> list[str]:
        """Example ids by content hash, as the registry has them."""
        return [example_id_of(self.catalogues[tenant.name], one) for one in hashes]

    def _stored(self, tenant: Tenant, job_id: str, pictures: list[Picture]) -> None:
        tenant.accepted.append(Accepted(job_id, len(pictures), "ingest"))
        self._finished(tenant, job_id)
        tenant.stored(pictures)

    def _finished(self, tenant: Tenant, job_id: str) -> None:
        """Wait for a job's end; one that failed is kept as an error: it was accepted."""
        patience = Patience(self.progress.moved_at)
        while True:
            try:
                job = tenant.client.show_job(job_id)
                if job.finished:
                    break
                if patience.over:
                    said = f"{job.kind} job {job_id} is {job.state}, {job.done} of {job.total}"
                    raise GaveUp(f"{said}, and nothing moved for {STILL_S:.0f} s")
            except JobFailed:
                break
            except (HolotypeError, httpx.HTTPError) as error:
                self._check_passing("job", error, patience)
            time.sleep(PAUSE_S)
        if job.state != "done":
            self.errors.append(f"{job.kind} job {job_id} ended {job.state}: {job.error}")


def _told(process: subprocess.Popen[str], patience: Patience) -> str:
    """What a command says until it ends; nothing where patience ends before."""
    while True:
        try:
            return process.communicate(timeout=PAUSE_S)[0]
        except subprocess.TimeoutExpired:
            if patience.over:
                return ""
