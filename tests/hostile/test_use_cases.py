"""Names and numbers that nobody means well with, in every place of the use cases: taken as they are, or refused."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from service import usecases
from service.core.vectors import checked_embeddings
from service.errors import HolotypeError, InvalidInput, NotFound
from service.ports import Point
from service.records import JobKind, JobState, Quotas, Scope, Split
from service.usecases.catalogues import create_catalogue, delete_catalogue, show_catalogue
from service.usecases.classes import rename_label
from service.usecases.classify import classify
from service.usecases.context import partition_of
from service.usecases.decide import drop, relabel
from service.usecases.evaluate import Labelled
from service.usecases.findings import Decision
from service.usecases.keys import create_key, rotate_key
from service.usecases.lookup import search_by_image, search_by_text
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.preview import preview_class
from service.usecases.publish import activate
from service.usecases.resolver import Resolver
from service.usecases.sources import find_sources
from service.usecases.suggesting import Candidate, suggest_among
from service.usecases.tenants import change_quotas, create_tenant
from service.usecases.webhooks import create_webhook
from tests.api.filled import ingest, picture, write_fruit
from tests.hostile.holdings import Reader
from tests.hostile.test_names import LONGEST, NAMES

USE_CASES = {
    "tenant": lambda given, name: create_tenant(given, name, Quotas()),
    "catalogue": lambda given, name: create_catalogue(given, "acme", name, "pixel"),
    "catalogue of a tenant": lambda given, name: create_catalogue(given, name, "fruit", "pixel"),
    "key": lambda given, name: create_key(given, "acme", name, (Scope.READ,)),
    "key of a tenant": lambda given, name: create_key(given, name, "till", (Scope.READ,)),
    "label": lambda given, name: relabel(given, "acme", "fruit", some_example(given), name),
    "new label": lambda given, name: rename_label(given, "acme", "fruit", "plum", name),
    "former label": lambda given, name: rename_label(given, "acme", "fruit", name, "plum"),
    "label of all": lambda given, name: list(find_sources(Path(__file__).parent, name, Split.SUPPORT)),
    "catalogue shown": lambda given, name: show_catalogue(given, "acme", name),
    "catalogue deleted": lambda given, name: delete_catalogue(given, "acme", name),
    "tenant's catalogue": lambda given, name: show_catalogue(given, name, "fruit"),
    "example": lambda given, name: drop(given, "acme", "fruit", [name]),
    "selection": lambda given, name: activate(given, "acme", "fruit", name),
    "picture": lambda given, name: classify(given, "acme", "fruit", [(name, picture("apple", 77))]),
    "words": lambda given, name: search_by_text(given, "acme", "fruit", name),
    "label searched": lambda given, name: search_by_image(given, "acme", "fruit", picture("apple", 7), label=name),
    "metadata": lambda given, name: search_by_image(given, "acme", "fruit", picture("apple", 7), metadata={name: name}),
    "new class": lambda given, name: preview_class(given, "acme", "fruit", name, [(name, picture("apple", 7))]),
    "webhook": lambda given, name: create_webhook(given, "acme", name, ["job.done"]),
}


@pytest.fixture
def stocked(working_context, tmp_path):
    """Fruit of acme and of its neighbour."""
    for tenant in ("acme", "other"):
        ingest(working_context, tenant, "fruit", write_fruit(tmp_path / tenant, 4))
    return working_context


def is_told_well(message: str) -> bool:
    message.encode()  # raises for what cannot be shown
    return 10 < len(message) < LONGEST


def some_example(given) -> str:
    catalogue = given.registry.catalogue("acme", "fruit")
    return given.registry.examples(catalogue.id)[0].id


def test_use_cases_take_any_name_or_refuse_it(stocked, settings):
    reader = Reader(stocked, settings)
    before = reader.holdings("other")
    taken: Counter[str] = Counter()
    told: list[str] = []
    for what, use in USE_CASES.items():
        for name in NAMES:
            try:
                use(stocked, name)
            except HolotypeError as error:
                told.append(error.message)
            else:
                taken[what] += 1
    assert [one for one in told if not is_told_well(one)] == []
    assert taken.total() > 50
    assert {"tenant", "catalogue", "key", "label", "picture"} <= set(taken)
    after = reader.holdings("other")
    assert (after.rows, after.blobs, after.points) == (before.rows, before.blobs, before.points)
    reader.close()


WHOLE = (-1, 0, -(2**63), 2**31, 2**63, 10**400)
REAL = (-1.0, 0.0, 1.0, 1e308, float("nan"), float("inf"), -float("inf"))
PICTURES = [(f"{label}.png", picture(label, 70)) for label in ("apple", "lime")]
COUNTS = {
    "classify": lambda given, n: classify(given, "acme", "fruit", PICTURES, top=n),
    "search": lambda given, n: search_by_image(given, "acme", "fruit", PICTURES[0][1], top=n),
    "next": lambda given, n: suggest_among(given, "acme", "fruit", candidates(), n),
    "trials": lambda _, n: OptimiseRequest(trials=n),
    "budget": lambda _, n: OptimiseRequest(budget=n),
    "seed": lambda _, n: OptimiseRequest(seed=n),
    "neighbours": lambda _, n: OptimiseRequest(neighbours=n),
    "quota": lambda given, n: change_quotas(given, "acme", {"examples": n}),
}
SHARES = {
    "max_error": lambda given, x: classify(given, "acme", "fruit", PICTURES, max_error=x),
    "expires_at": lambda given, x: create_key(given, "acme", "till", (Scope.READ,), x),
    "grace": lambda given, x: rotate_key(given, "acme", a_key(given), grace_s=x),
}


def candidates() -> list[Candidate]:
    return [Candidate(name, lambda data=data: data, None) for name, data in PICTURES]


def a_key(given) -> str:
    return create_key(given, "acme", "rotated", (Scope.READ,)).key.id


def test_use_cases_take_any_number_or_refuse_it(stocked, settings):
    """Each below 1 is refused, and all that is no number; the huge are, or they are more than there is."""
    reader = Reader(stocked, settings)
    before = reader.holdings("other")
    told: list[str] = []
    for uses, numbers in ((COUNTS, WHOLE), (SHARES, REAL)):
        for what, use in uses.items():
            refused = []
            for number in numbers:
                try:
                    use(stocked, number)
                except HolotypeError as error:
                    refused.append(number)
                    told.append(error.message)
            assert set(refused) >= {one for one in numbers if one < 0 and what != "grace"}, what
            assert len(refused) >= 2, what
    assert [one for one in told if not is_told_well(one)] == []
    after = reader.holdings("other")
    assert (after.rows, after.blobs, after.points) == (before.rows, before.blobs, before.points)
    reader.close()


def test_embeddings_that_are_no_directions_reach_no_store_and_no_answer(stocked):
    """Whatever an encoder, a head or an archive gives: refused before it is written or asked with."""
    catalogue = stocked.registry.catalogue("acme", "fruit")
    for bad in (float("nan"), float("inf"), 0.0, 1e30):
        _refused_everywhere(stocked, catalogue, np.full((1, catalogue.fingerprint.dimension), bad, dtype=np.float32))


def _refused_everywhere(stocked, catalogue, row):
    with pytest.raises(InvalidInput):
        stocked.store.insert(partition_of(catalogue), [Point("0" * 8, row[0], {"label": "apple"})])
    with pytest.raises(InvalidInput):
        Resolver(stocked).resolve(catalogue, row, 5)
    with pytest.raises(InvalidInput):
        checked_embeddings(row, row.shape[1])


MADE = {"create_catalogue", "import_catalogue", "start_ingest", "create_key", "create_key_of_any"}
"""What makes the catalogue, or whose `name` is that of something else."""
GIVEN = {
    "label": "plum",
    "new": "peach",
    "predicted": "apple",
    "templates": ["a photo of a {}"],
    "example_ids": ["0" * 8],
    "decision": Decision.RELABEL,
    "folder": Path("nowhere"),
    "path": Path("nowhere"),
    "count": 1,
    "candidates": [],
    "edge_px": 128,
    "has": lambda _: False,
    "purpose": JobKind.INGEST,
    "text": "a plum",
    "rule": "otsu",
    "on_progress": lambda *_: None,
    "kind": None,
    "limit": 10,
    "page": None,
    "images": True,
    "max_error": None,
    "state": None,
    "after": None,
    "before": None,
    "fetches": None,
    "evaluation": None,
    "states": [],
    "partial": False,
}
PICTURE = ("plum.png", picture("plum", 71))
PICTURES_OF = {"evaluate_pictures": [Labelled("plum", lambda: PICTURE[1], None)]}
"""Where pictures are given in another form."""


def use_cases_of_tenants():
    """Each public function of a use case that is told whose what it works on is, found by its signature."""
    for found in pkgutil.iter_modules(usecases.__path__):
        module = importlib.import_module(f"service.usecases.{found.name}")
        for name, function in sorted(vars(module).items()):
            if inspect.isfunction(function) and function.__module__ == module.__name__ and name[0] != "_":
                parameters = list(inspect.signature(function).parameters.values())
                if [one.name for one in parameters[:2]] == ["context", "tenant"] and len(parameters) > 2:
                    yield name, function, parameters[2:]


def arguments(name, parameters, known):
    """What such a function has to be given; what may be left out is."""
    made = GIVEN | known
    made |= {"picture": PICTURE[1], "first": PICTURE, "second": PICTURE, "pictures": PICTURES_OF.get(name, [PICTURE])}
    made |= {"request": OptimiseRequest(trials=1), "name": known.get("name", "private")}
    needed = [one for one in parameters if one.default is inspect.Parameter.empty]
    lacking = [one.name for one in needed if one.name not in made]
    assert not lacking, f"say in GIVEN what {', '.join(lacking)} may be"
    plain = [made[one.name] for one in needed if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    return plain, {one.name: made[one.name] for one in needed if one.kind is inspect.Parameter.KEYWORD_ONLY}


def test_no_use_case_finds_what_is_anothers(stocked, settings):
    """Those of catalogues by another's catalogue, those of single things by another's id, in one's own catalogue."""
    context = stocked
    ingest(context, "other", "private", settings.data_dir.parent / "other")
    theirs = context.registry.catalogue("other", "private")
    job = context.registry.jobs(list(JobState), theirs.id)[0]
    ids = {
        "example_id": context.registry.examples(theirs.id)[0].id,
        "selection_id": str(uuid.uuid4()),
        "other_id": str(uuid.uuid4()),
        "job_id": job.id,
        "key_id": create_key(context, "other", "till", (Scope.READ,)).key.id,
        "webhook_id": create_webhook(context, "other", "https://93.184.215.14/hook", ["job.done"]).id,
    }
    reader = Reader(context, settings)
    before = reader.holdings("other")
    asked, found = [], []
    for name, function, parameters in use_cases_of_tenants():
        names = [one.name for one in parameters]
        places = [{"name": "private"}] if names[0] == "name" and name not in MADE else []
        places += [{"name": "fruit"}] if set(ids) & set(names) else []
        for known in places:
            plain, named = arguments(name, parameters, ids | known)
            asked.append(name)
            try:
                function(context, "acme", *plain, **named)
            except NotFound:
                continue
            except HolotypeError as error:
                found.append((name, known, error.message))
            else:
                found.append((name, known, "done"))
    assert found == []
    assert len(set(asked)) > 45, sorted(set(asked))
    after = reader.holdings("other")
    assert (after.rows, after.blobs, after.points) == (before.rows, before.blobs, before.points)
    reader.close()
