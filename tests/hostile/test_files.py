"""Hostile files: each is taken or refused with a sentence, in bounded memory, its neighbours unharmed.

HOSTILE_FILES in the environment asks for more of them: `scripts/bench_hostile` has ten thousand.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from service.adapters.images import PillowDecoder
from service.records import ItemState, JobState
from service.settings import Settings
from service.usecases.classify import classify
from service.usecases.ingest import start_ingest
from tests.adapters.pictures import as_file, noise
from tests.api.filled import finished
from tests.hostile import guarded
from tests.hostile.pictures import by_hand, changed, real_pictures

FILES = int(os.environ.get("HOSTILE_FILES", "1000"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
INGESTED = 400
CHUNK = 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak, and holds it to a limit")
@pytest.mark.timeout(120 + FILES // 10)
def test_each_file_is_taken_or_refused_in_bounded_memory(record_property):
    told = guarded.decoded(FILES, SEED)
    assert told.wrong == []
    assert told.taken + told.refused == FILES
    assert told.taken > FILES // 20
    assert len(told.reasons) > 15
    assert told.peak_mb[0] <= guarded.CAP_MB
    record_property("hostile_files", FILES)
    record_property("hostile_files_taken", told.taken)
    record_property("hostile_files_refused", told.refused)
    record_property("hostile_kinds_of_refusal", len(told.reasons))
    record_property("hostile_peak_mb", told.peak_mb[0])
    record_property("hostile_cap_mb", guarded.CAP_MB)
    record_property("hostile_decoders", len(told.processes))


def test_the_same_seed_makes_the_same_files():
    def made(seed: int) -> list[bytes]:
        return [changed(random.Random(f"{seed}/{number}"), real_pictures()) for number in range(30)]

    assert made(7) == made(7) != made(8)
    assert len(set(made(7))) > 25


def test_what_is_changed_begins_as_a_picture_that_is_taken():
    """Else the suite would only show that noise is refused."""
    for data in real_pictures():
        assert PillowDecoder().decode(data, 8).pixels.shape[2] == 3


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path / "data", encoder="pixel", chunk_images=CHUNK)


def test_good_pictures_among_hostile_ones_are_stored_and_answer(working_context, tmp_path, record_property):
    """In every chunk, on the parts people run."""
    context = working_context
    hostile = [(name, data) for name, data in by_hand() if "40 MP" not in name and len(data) < 2_000_000]
    seeds = real_pictures()
    hostile += [
        (f"{number}", changed(random.Random(f"{SEED}/ingest/{number}"), seeds))
        for number in range(INGESTED - len(hostile))
    ]
    folder = tmp_path / "pictures"
    good = 0
    for number, (_, data) in enumerate(hostile):
        place = folder / ("apple" if number % 2 else "plum")
        place.mkdir(parents=True, exist_ok=True)
        suffix = (".jpg", ".png", ".webp", ".JPEG", ".jfif")[number % 5]  # mostly another one than it is of
        (place / f"{number:05}{suffix}").write_bytes(data)
        if number % (CHUNK // 2) == 0:
            (place / f"{number:05}-good.png").write_bytes(as_file(noise(seed=1000 + number)))
            good += 1
    context.registry.ensure_tenant("acme")
    job = finished(context, start_ingest(context, "acme", "fruit", folder, encoder="pixel").id)
    assert job.state is JobState.DONE
    counts = context.registry.item_counts(job.id)
    assert sum(counts.values()) == len(hostile) + good == job.total
    assert set(counts) <= {ItemState.STORED, ItemState.DUPLICATE, ItemState.CONFLICT, ItemState.FAILED}
    assert counts[ItemState.FAILED] > INGESTED // 4
    for item in context.registry.items(job.id, (ItemState.FAILED,)):
        assert guarded.is_a_sentence(item.reason), (item.source, item.reason)
    catalogue = context.registry.catalogue("acme", "fruit")
    examples = context.registry.examples(catalogue.id)
    stored = {Path(one.source).name for one in examples}
    wanted = {path.name for path in folder.rglob("*-good.png")}
    assert len(wanted) == good
    assert wanted <= stored
    assert job.result["stored"] == len(examples)
    (answer,) = classify(context, "acme", "fruit", [("new.png", as_file(noise(seed=1000)))])
    assert answer.prediction is not None
    record_property("hostile_files_ingested", len(hostile))
    record_property("hostile_neighbours_stored", good)
