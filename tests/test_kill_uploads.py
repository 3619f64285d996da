"""`kill -9` of the service in the middle of a bulk classification and of an upload: afterwards each picture once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.cli.test_serve import serving
from tests.conftest import write_pictures
from tests.processes import kill_group, wait_until

PICTURES = 60
SMALL = {"HOLOTYPE_CHUNK_IMAGES": "1", "HOLOTYPE_SWEEP_INTERVAL_S": "0.5"}


@contextmanager
def client(data_dir, key: str | None = None) -> Iterator[tuple[httpx.Client, str]]:
    """A client of a service of its own on the data directory, and the key; the service is killed at the end."""
    with serving(data_dir, **SMALL) as (process, ready):
        used = key or ready["admin_key"]
        with httpx.Client(base_url=ready["url"], headers={"Authorization": f"Bearer {used}"}, timeout=60) as opened:
            yield opened, used
        kill_group(process)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> dict[str, bytes]:
    folder = write_pictures(tmp_path_factory.mktemp("kill"), classes=4, each=PICTURES // 4)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*g"))}


def sent(opened: httpx.Client, pictures: dict[str, bytes], **fields: str) -> str:
    files = [("pictures", (name, data)) for name, data in pictures.items()]
    answer = opened.post("/v1/catalogues/birds/ingests", files=files, data=fields)
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def job(opened: httpx.Client, path: str) -> dict:
    return opened.get(path).json()


def test_a_bulk_classification_that_is_killed_answers_every_picture_once(data_dir, pictures):
    known = dict(list(pictures.items())[::3])
    with client(data_dir) as (opened, key):
        opened.post("/v1/catalogues", json={"name": "birds"})
        stored = sent(opened, known, split="support")
        wait_until(lambda: job(opened, stored)["state"] == "done", "the pictures are stored")
        asked = sent(opened, pictures, purpose="classify")
        wait_until(lambda: job(opened, asked)["done"] >= 3, "it is under way")
    with client(data_dir, key) as (opened, _):
        assert job(opened, asked)["done"] >= 3
        wait_until(lambda: job(opened, asked)["state"] == "done", "it is finished")
        lines = [json.loads(line) for line in opened.get(f"{asked}/results").text.splitlines()]
        assert [line["path"] for line in lines] == list(pictures)
        assert [line["label"] for line in lines] == [name.split("/")[0] for name in pictures]
        assert job(opened, asked)["counts"] == {"answered": PICTURES}
        assert job(opened, asked)["result"]["answered"] == PICTURES
    blobs = data_dir / "blobs/default/uploads"
    assert [path for path in blobs.rglob("*") if path.is_file()] == []


def test_an_open_ingest_goes_on_after_a_kill(data_dir, pictures):
    names = list(pictures)
    half = PICTURES // 2
    with client(data_dir) as (opened, key):
        opened.post("/v1/catalogues", json={"name": "birds"})
        path = sent(opened, {name: pictures[name] for name in names[:half]}, open="true")
    with client(data_dir, key) as (opened, _):
        more = [("pictures", (name, pictures[name])) for name in names[half - 5 :]]
        assert opened.post(f"{path}/pictures", files=more).json()["total"] == PICTURES
        assert opened.post(f"{path}:seal").status_code == 202
        wait_until(lambda: job(opened, path)["done"] >= 3, "it is under way")
    with client(data_dir, key) as (opened, _):
        wait_until(lambda: job(opened, path)["state"] == "done", "it is finished")
        done = job(opened, path)
        assert done["counts"] == {"stored": PICTURES}
        assert opened.get("/v1/catalogues/birds").json()["labels"] == dict.fromkeys(
            sorted({name.split("/")[0] for name in names}), PICTURES // 4
        )
