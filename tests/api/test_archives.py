"""A catalogue out over HTTP and back in, over the real parts."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.records import Quotas, Scope
from service.usecases.classify import classify
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from service.usecases.optimise import start_optimise
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.tenants import create_tenant
from tests.conftest import write_pictures


def quiet(*_):
    """Nobody watches."""


@pytest.fixture
def pictures(tmp_path) -> Path:
    return write_pictures(tmp_path / "pictures", classes=3, each=14)


@pytest.fixture
def fruit(api, acme, pictures):
    """Acme's "fruit", ingested and optimised by the workers of this process."""
    job = start_ingest(api.context, "acme", "fruit", pictures, encoder="pixel")
    wait_for_job(api.context, job.id, quiet)
    job = start_optimise(api.context, "acme", "fruit", OptimiseRequest(trials=2))
    wait_for_job(api.context, job.id, quiet)
    return api.context.registry.catalogue("acme", "fruit")


def sent(client, data, name="copy"):
    return client.post(
        "/v1/catalogues:import", data={"name": name}, files={"archive": ("a.zip", data, "application/zip")}
    )


def test_a_catalogue_goes_out_and_another_tenant_gets_the_same_answers(api, acme, fruit, tmp_path):
    out = acme.get("/v1/catalogues/fruit/archive")
    assert out.status_code == 200
    assert out.headers["content-type"] == "application/zip"
    assert out.headers["content-disposition"] == 'attachment; filename="fruit.holotype.zip"'
    bolt = api.as_tenant("bolt")
    made = sent(bolt, out.content)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/v1/catalogues/copy"
    ours = acme.get("/v1/catalogues/fruit").json()
    theirs = bolt.get("/v1/catalogues/copy").json()
    assert theirs == made.json()
    assert {k: theirs[k] for k in ("encoder", "examples", "labels", "references")} == {
        k: ours[k] for k in ("encoder", "examples", "labels", "references")
    }
    new = [
        (p.name, p.read_bytes())
        for p in sorted(write_pictures(tmp_path / "new", classes=3, each=3, seed=9).rglob("*.*g"))
    ]
    here, there = (classify(api.context, *where, new) for where in (("acme", "fruit"), ("bolt", "copy")))
    for one, other in zip(here, there, strict=True):
        assert one.prediction.label == other.prediction.label
        pairs = zip(one.prediction.neighbours, other.prediction.neighbours, strict=True)
        assert all(a.source == b.source and a.similarity == pytest.approx(b.similarity, abs=1e-6) for a, b in pairs)
    figures = [
        api.context.registry.selections(c.id)[0].figures
        for c in (fruit, api.context.registry.catalogue("bolt", "copy"))
    ]
    assert json.loads(json.dumps(figures[0])) == json.loads(json.dumps(figures[1]))


def test_pictures_are_left_out_on_request(acme, fruit):
    out = acme.get("/v1/catalogues/fruit/archive", params={"images": False})
    names = zipfile.ZipFile(io.BytesIO(out.content)).namelist()
    assert not [name for name in names if name.startswith("images/")]
    assert sent(acme, out.content).status_code == 201


def with_a_byte_of_a_picture_changed(data):
    """One in the middle of its data: what a zip says around them may differ and mean the same."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    picture = next(one for one in archive.infolist() if one.filename.startswith("images/"))
    start = data.index(picture.filename.encode()) + len(picture.filename)
    changed = bytearray(data)
    changed[start + picture.compress_size // 2] ^= 0xFF
    return bytes(changed)


def test_a_taken_name_is_a_conflict_and_a_forged_archive_a_sentence(acme, fruit):
    data = acme.get("/v1/catalogues/fruit/archive").content
    assert sent(acme, data, "fruit").status_code == 409
    answer = sent(acme, with_a_byte_of_a_picture_changed(data))
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidInput")
    assert acme.get("/v1/catalogues/copy").status_code == 404


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"name": "copy"}},
        {"files": {"archive": b"x"}},
        {"data": {"name": "copy", "more": "x"}, "files": {"archive": b"x"}},
        {"data": {"name": "copy", "archive": "x"}},
        {"files": {"name": b"copy", "archive": b"x"}},
        {"data": {"name": "../copy"}, "files": {"archive": b"x"}},
        {"data": {"name": "x" * 3000}, "files": {"archive": b"x"}},
        {"json": {"name": "copy"}},
        {},
        {"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
    ],
)
def test_another_form_is_refused(acme, form):
    answer = acme.post("/v1/catalogues:import", **form)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_archive_beyond_the_setting_is_too_large(api, acme):
    app = create_app(api.context, api.settings.model_copy(update={"import_mb": 1}))
    with TestClient(app, raise_server_exceptions=False) as client:
        client.headers.update(acme.headers)
        assert sent(client, b"x" * 3 * 1024**2).status_code == 413

        def pieces():  # without a stated length
            yield b'--x\r\nContent-Disposition: form-data; name="archive"; filename="a"\r\n\r\n'
            for _ in range(30):
                yield b"y" * 100_000

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = client.post("/v1/catalogues:import", content=pieces(), headers=headers)
        assert answer.status_code == 413
        assert "HOLOTYPE_IMPORT_MB" in answer.json()["detail"]


def test_more_than_the_default_of_a_request_is_taken(acme):
    """The import has a limit of its own: 65 MB pass, and are then no archive."""
    answer = sent(acme, b"x" * 65 * 1024**2)
    assert answer.status_code == 422
    assert "no archive" in answer.json()["detail"]


def test_nobody_uploads_without_a_key_that_may_write(api):
    reader = api.as_tenant("acme", (Scope.READ,))
    assert sent(reader, b"x").status_code == 403
    assert sent(api.client, b"x").status_code == 401


def test_the_quota_of_catalogues_and_of_examples_holds(api, acme, fruit):
    data = acme.get("/v1/catalogues/fruit/archive").content
    for number, quotas in enumerate((Quotas(catalogues=0), Quotas(examples=10))):
        create_tenant(api.context, f"poor{number}", quotas)
        poor = api.as_tenant(f"poor{number}")
        answer = sent(poor, data)
        assert (answer.status_code, answer.json()["code"]) == (429, "QuotaExceeded")
        assert api.context.registry.imports() == []


def test_another_tenants_catalogue_is_not_exported(api, fruit):
    bolt = api.as_tenant("bolt")
    unknown = bolt.get("/v1/catalogues/nothing/archive").json()
    theirs = bolt.get("/v1/catalogues/fruit/archive")
    assert theirs.status_code == 404
    assert theirs.json()["detail"] == unknown["detail"].replace("nothing", "fruit")
