"""Asks all the time, and holds each answer against a brute-force answer over the members of the selection it names.

An answer is torn when it names a selection that was not the active one, when a reference that it stands on is no member
of that selection, when a similarity is not that of the member's published projection, or when its label is not the one
that all members together give. Where an operation that may change members was at work, only the middle two are asked.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import httpx
import numpy as np

from scripts.bench.faults_tenants import CATALOGUE, Tenant
from service.client.models.answers import Classified
from service.client.problems import ApiProblem
from service.core.voting import class_scores
from service.errors import HolotypeError
from service.records import Catalogue, SelectionMember
from service.usecases.context import Context, partition_of
from service.usecases.reading import encoder_of, read_pictures
from service.usecases.references import References
from service.usecases.selections import flagged, head_of, projection_of, recipe_of

PICTURES = 4
PAUSE_S = 0.05
CLOSE = 1e-4
"""Similarities that agree so far are the same: sums of float32 in another order."""
MOST_TOLD = 20


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A selection with the members it had: similarities (q, r) of the tenant's queries with each of them."""

    rows: dict[str, int]
    provisional: frozenset[str]
    similarities: np.ndarray
    codes: np.ndarray
    labels: tuple[str, ...]
    per_label: int

    def scores(self) -> np.ndarray:
        """Of each query with each class, (q, C)."""
        return class_scores(self.similarities, self.codes, len(self.labels), self.per_label)


@dataclass(slots=True)
class Prober:
    """One thread over all tenants. `torn` says what was wrong, `probes` how many pictures were answered."""

    context: Context
    tenants: list[Tenant]
    catalogues: dict[str, Catalogue]
    torn: list[str] = field(default_factory=list)
    probes: int = 0
    strict: int = 0
    unanswered: int = 0
    _embeddings: dict[str, np.ndarray] = field(default_factory=dict)
    _known: dict[tuple[str, frozenset[SelectionMember]], Truth] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Ask from now on."""
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(60)

    def _run(self) -> None:
        turn = 0
        while not self._ending.wait(PAUSE_S):
            turn += 1
            tenant = self.tenants[turn % len(self.tenants)]
            first = (turn // len(self.tenants) * PICTURES) % len(tenant.queries)
            try:
                self.probe(tenant, list(range(first, first + PICTURES)))
            except (HolotypeError, httpx.HTTPError):
                self.unanswered += 1
                time.sleep(0.1)

    def probe(self, tenant: Tenant, rows: list[int]) -> None:
        """Ask for some of the tenant's queries and judge what comes. Raises when there was no answer."""
        catalogue = self.catalogues[tenant.name]
        before, active = tenant.state(), self._active(catalogue)
        members = frozenset(self.context.registry.members(active))
        try:
            answers = tenant.client.classify(CATALOGUE, [tenant.queries[row] for row in rows])
        except ApiProblem as error:
            if error.code == "NothingToServe":
                self._tell(f"{tenant.name}: {error} ({self._looked_at(tenant, active)})")
            raise
        still = tenant.state() == before and self._active(catalogue) == active
        quiet = still and not before[0] and not before[1]
        for row, answer in zip(rows, answers, strict=True):
            self._judge(tenant, row, answer, members if answer.selection == active else frozenset(), quiet=quiet)

    def _looked_at(self, tenant: Tenant, selection_id: str) -> str:
        try:
            return self._held(tenant, selection_id)
        except HolotypeError as error:
            return f"{selection_id} cannot be looked at: {error}"

    def _held(self, tenant: Tenant, selection_id: str) -> str:
        """What registry and store have of a selection that is said to have nothing to answer with."""
        registry, store = self.context.registry, self.context.store
        catalogue = registry.catalogue_by_id(self.catalogues[tenant.name].id)
        partition, selection = partition_of(catalogue), registry.selection(catalogue.id, selection_id)
        where, members = flagged(selection.slot, selection_id), registry.members(selection_id)
        payloads = store.fetch(partition, [one.example_id for one in members], with_embeddings=False).payloads
        carrying = sum(where.items() <= dict(payload).items() for payload in payloads)
        head, queries = head_of(self.context, selection), self._of_queries(tenant, catalogue)
        projections = queries if head is None else head.project(queries)
        near = store.nearest(partition, projection_of(selection.slot), projections, where, 5)
        return (
            f"active {catalogue.active_selection}; {selection_id} {selection.state} in {where}: "
            f"{len(members)} members, {len(payloads)} points, {carrying} flagged, "
            f"{len(store.ids(partition, where))} found by flag, {[len(one) for one in near]} near"
        )

    def judge_alone(self, tenant: Tenant, answer: Classified) -> None:
        """An answer that was given at a time nobody knows: references and similarities are asked."""
        row = [name for name, _ in tenant.queries].index(answer.path)
        self._judge(tenant, row, answer, frozenset(), quiet=False)

    def _active(self, catalogue: Catalogue) -> str:
        return self.context.registry.catalogue_by_id(catalogue.id).active_selection or ""

    def _judge(
        self, tenant: Tenant, row: int, answer: Classified, before: frozenset[SelectionMember], *, quiet: bool
    ) -> None:
        if answer.error is not None or answer.selection is None:
            self._tell(f"{tenant.name}: {answer.path} was answered {answer.error or 'without a selection'}")
            return
        now = frozenset(self.context.registry.members(answer.selection))
        self.probes += 1
        strict = quiet and before == now
        truth = self._truth(tenant, answer.selection, before | now)
        said = f"{tenant.name}: {answer.path} by selection {answer.selection}"
        for near in answer.neighbours:
            if near.id not in truth.rows:
                if strict:
                    self._tell(f"{said} stands on {near.id}, which is no member")
            elif near.id not in truth.provisional:
                really = float(truth.similarities[row, truth.rows[near.id]])
                if abs(really - near.similarity) > CLOSE:
                    self._tell(f"{said}: {near.id} at {near.similarity:.5f}, published at {really:.5f}")
        if strict and not truth.provisional:
            self.strict += 1
            self._judge_label(said, truth, row, answer)

    def _judge_label(self, said: str, truth: Truth, row: int, answer: Classified) -> None:
        scores = truth.scores()[row]
        given = scores[truth.labels.index(answer.label)] if answer.label in truth.labels else -np.inf
        if given < scores.max() - CLOSE:
            best = truth.labels[int(scores.argmax())]
            self._tell(f"{said}: {answer.label} ({given:.5f}), all members say {best} ({scores.max():.5f})")

    def _tell(self, sentence: str) -> None:
        self.torn.append(f"{time.strftime('%X')} {sentence}")

    def _truth(self, tenant: Tenant, selection_id: str, members: frozenset[SelectionMember]) -> Truth:
        key = (selection_id, members)
        if key not in self._known:
            if len(self._known) > 200:
                self._known.clear()
            self._known[key] = self._computed(tenant, selection_id, members)
        return self._known[key]

    def _computed(self, tenant: Tenant, selection_id: str, members: frozenset[SelectionMember]) -> Truth:
        catalogue = self.context.registry.catalogue_by_id(self.catalogues[tenant.name].id)
        selection = self.context.registry.selection(catalogue.id, selection_id)
        references = References(self.context, catalogue, selection).of(sorted(members, key=lambda one: one.example_id))
        head, embeddings = head_of(self.context, selection), self._of_queries(tenant, catalogue)
        queries = embeddings if head is None else head.project(embeddings)
        labels = tuple(sorted(set(references.labels)))
        return Truth(
            rows={example: row for row, example in enumerate(references.ids)},
            provisional=frozenset(one.example_id for one in members if one.provisional),
            similarities=(queries @ references.projections.T).astype(np.float32),
            codes=np.array([labels.index(label) for label in references.labels], dtype=np.int64),
            labels=labels,
            per_label=recipe_of(selection).per_label,
        )

    def _of_queries(self, tenant: Tenant, catalogue: Catalogue) -> np.ndarray:
        if tenant.name not in self._embeddings:
            encoder = encoder_of(self.context, catalogue)
            read = read_pictures(self.context, encoder, tenant.name, [content for _, content in tenant.queries])
            self._embeddings[tenant.name] = read.embeddings
        return self._embeddings[tenant.name]
