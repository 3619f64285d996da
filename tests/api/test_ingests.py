"""Handing pictures over by HTTP: labels, manifests, broken files, retries, quotas, open ingests."""

from __future__ import annotations

import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from service.records import Scope
from tests.conftest import write_pictures

APPLE, PEAR = (200, 30, 40), (90, 190, 60)


def picture(colour=APPLE, seed=0, form="PNG") -> bytes:
    """A picture of nearly one colour; another seed is another picture."""
    noise = np.random.default_rng(seed).integers(-20, 21, (24, 24, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(buffer, format=form)
    return buffer.getvalue()


def parts(pictures: dict[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("pictures", (name, data)) for name, data in pictures.items()]


def fruit(count=4) -> dict[str, bytes]:
    return {
        f"{label}/{seed}.png": picture(colour, 100 * row + seed)
        for row, (label, colour) in enumerate({"apple": APPLE, "pear": PEAR}.items())
        for seed in range(count)
    }


def finished(client, job, seconds=30):
    """The job once it has ended; its path or its body."""
    path = job if isinstance(job, str) else job["links"]["self"]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        body = client.get(path).json()
        if body["state"] in ("done", "failed", "cancelled"):
            return body
        time.sleep(0.05)
    raise AssertionError(f"not finished within {seconds} s: {body}")


@pytest.fixture
def shop(acme):
    """A client of a tenant with an empty catalogue "fruit"."""
    assert acme.post("/v1/catalogues", json={"name": "fruit"}).status_code == 201
    return acme


def ingest(client, pictures, catalogue="fruit", files=(), headers=None, **fields):
    path = f"/v1/catalogues/{catalogue}/ingests"
    return client.post(path, files=[*parts(pictures), *files], data=fields, headers=headers)


def test_the_folder_in_the_name_is_the_label(shop):
    answer = ingest(shop, {f"photos/{name}": data for name, data in fruit().items()})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["kind"], job["total"]) == ("ingest", 8)
    done = finished(shop, answer.headers["location"])
    assert done["state"] == "done"
    assert (done["result"]["stored"], done["result"]["failed"]) == (8, 0)
    assert shop.get("/v1/catalogues/fruit").json()["labels"] == {"apple": 4, "pear": 4}


def test_one_label_and_split_for_all(shop):
    done = finished(
        shop, ingest(shop, {"a.png": picture(), "b.png": picture(seed=2)}, label="apple", split="holdout").json()
    )
    assert done["result"]["stored"] == 2
    assert shop.get("/v1/catalogues/fruit").json()["examples"]["holdout"] == 2


def test_paths_stand_in_for_names_without_folders(shop):
    answer = ingest(shop, {"1.png": picture(), "2.png": picture(PEAR)}, paths=["apple/1.png", "pear/2.png"])
    finished(shop, answer.json())
    assert shop.get("/v1/catalogues/fruit").json()["labels"] == {"apple": 1, "pear": 1}
    wrong = ingest(shop, {"1.png": picture()}, paths=["apple/1.png", "pear/2.png"])
    assert (wrong.status_code, wrong.json()["code"]) == (422, "InvalidInput")


def test_a_manifest_gives_labels_splits_and_metadata(api, shop):
    lines = ["path,label,split,lot", "x/1.png,apple,support,17", "2.png,pear,,18", "3.png,,,", "missing.png,pear,,"]
    manifest = "\n".join([*lines, "5.png,pear,train,"]).encode()
    sent = {"x/1.png": picture(), "2.png": picture(PEAR), "3.png": picture(seed=5), "stray.png": picture(seed=6)}
    answer = ingest(shop, sent, files=[("manifest", ("list.csv", manifest))])
    done = finished(shop, answer.json())
    assert (done["result"]["stored"], done["result"]["failed"]) == (2, 4)
    reasons = {one["path"]: one["reason"] for one in done["result"]["errors"]}
    assert "no label" in reasons["3.png"]
    assert "no label" in reasons["stray.png"]
    assert reasons["missing.png"] == "line 5 of the manifest lists it, but it was not sent"
    assert "the split is 'train'" in reasons["list.csv, line 6"]
    catalogue = api.context.registry.catalogue("acme", "fruit")
    kept = {one.label: (one.metadata, one.split) for one in api.context.registry.examples(catalogue.id)}
    assert kept["apple"] == ({"lot": "17"}, "support")
    assert kept["pear"][0] == {"lot": "18"}
    for lot, label in (("17", "apple"), ("18", "pear")):
        files = {"picture": ("x.png", picture())}
        found = shop.post("/v1/catalogues/fruit:search", files=files, data={"metadata": json.dumps({"lot": lot})})
        assert [(one["label"], one["metadata"]) for one in found.json()["items"]] == [(label, {"lot": lot})]


@pytest.mark.parametrize(
    ("name", "manifest", "reason"),
    [
        ("list.csv", b"file,class\na.png,pear\n", "lacks path"),
        ("list.csv", b"path,label,a b\na.png,pear,1\n", "metadata key"),
        ("list.jsonl", b"nothing", "is no JSONL manifest"),
        ("list.csv", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_manifest_that_is_none_takes_nothing(shop, name, manifest, reason):
    answer = ingest(shop, {"a.png": picture()}, files=[("manifest", (name, manifest))])
    assert (answer.status_code, answer.json()["code"]) == (422, "ManifestError")
    assert reason in answer.json()["detail"]
    assert "/tmp" not in answer.text
    assert shop.get("/v1/catalogues/fruit").json()["labels"] == {}


def test_broken_files_fail_alone(shop, monkeypatch):
    monkeypatch.setattr("service.api.uploads.MAX_FILE_BYTES", 30_000)
    monkeypatch.setattr("service.usecases.upload_labels.MAX_FILE_BYTES", 30_000)
    sent = fruit() | {
        "apple/text.png": b"not a picture",
        "apple/empty.png": b"",
        "apple/huge.png": picture() + bytes(40_000),
        "apple/moving.gif": b"GIF89a" + bytes(50),
        "apple/.DS_Store": b"hidden",
    }
    done = finished(shop, ingest(shop, sent).json())
    assert (done["result"]["stored"], done["result"]["failed"]) == (8, 4)
    reasons = {one["path"]: one["reason"] for one in done["result"]["errors"]}
    assert "text file" in reasons["apple/text.png"]
    assert "0 bytes" in reasons["apple/empty.png"]
    assert "at most" in reasons["apple/huge.png"]
    assert "GIF" in reasons["apple/moving.gif"]


def test_pictures_without_any_label_are_refused(shop):
    answer = ingest(shop, {"a.png": picture()})
    assert answer.status_code == 422
    assert "label/picture.jpg" in answer.json()["detail"]


def test_nothing_sent_is_refused(shop):
    chosen_none = b'--x\r\nContent-Disposition: form-data; name="pictures"; filename=""\r\n\r\n\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = shop.post("/v1/catalogues/fruit/ingests", content=chosen_none, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidInput")


def test_an_unknown_catalogue_is_a_404_that_says_how_to_make_it(shop):
    answer = ingest(shop, fruit(), catalogue="vegetables")
    assert answer.status_code == 404
    assert "POST /v1/catalogues" in answer.json()["detail"]


def test_another_tenants_catalogue_is_unknown_in_the_same_words(api, shop):
    other = api.as_tenant("other")
    theirs, none = ingest(other, fruit()), ingest(other, fruit(), catalogue="nothing")
    assert theirs.status_code == none.status_code == 404
    assert theirs.json()["detail"].replace("fruit", "nothing") == none.json()["detail"]


def test_a_reader_may_not_hand_over(api, shop):
    assert ingest(api.as_tenant("acme", (Scope.READ,)), fruit()).status_code == 403


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"split": "train"}, "split"),
        ({"purpose": "eat"}, "purpose"),
        ({"colour": "red"}, "colour"),
        ({"top": "0"}, "top"),
        ({"label": ["a", "b"]}, "label"),
        ({"max_error": "0.1"}, "max_error"),
        ({"purpose": "classify", "label": "apple"}, "label"),
        ({"open": "perhaps"}, "open"),
    ],
)
def test_wrong_fields_are_told(shop, fields, reason):
    answer = ingest(shop, {"apple/a.png": picture()}, **fields)
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b"hello", 415),
        ("multipart/form-data", b"hello", 400),
        ("multipart/form-data; boundary=x", b"hello", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="pictures"; filename="a"\r\n\r\nabc',
            400,
        ),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--\r\n", 400),
        ("application/json", b"{", 422),
        ("application/json", b'{"items": []}', 422),
    ],
)
def test_bodies_that_are_none_are_refused(shop, content_type, body, status):
    answer = shop.post("/v1/catalogues/fruit/ingests", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_upload_beyond_the_setting_is_413_and_names_it(api, shop):
    api.client.app.state.settings = api.settings.model_copy(update={"upload_mb": 1})
    answer = ingest(shop, {"apple/a.png": bytes(1024 * 1024 + 1)})
    assert answer.status_code == 413
    assert "HOLOTYPE_UPLOAD_MB" in answer.json()["detail"]

    def drip():
        yield b'--x\r\nContent-Disposition: form-data; name="pictures"; filename="a/a.png"\r\n\r\n'
        for _ in range(40):
            yield bytes(64 * 1024)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    streamed = shop.post("/v1/catalogues/fruit/ingests", content=drip(), headers=headers)
    assert streamed.status_code == 413


def test_a_route_of_its_own_limit_takes_more_than_the_applications(shop):
    big = picture() + bytes(35 * 1024 * 1024)
    answer = ingest(shop, {"apple/a.png": big, "apple/b.png": picture(seed=3) + bytes(35 * 1024 * 1024)})
    assert answer.status_code == 202, answer.text


def test_more_pictures_than_a_request_may_have_are_413(shop, monkeypatch):
    monkeypatch.setattr("service.api.upload_forms.MOST_PICTURES", 7)
    answer = ingest(shop, fruit())
    assert answer.status_code == 413
    assert "8 pictures" in answer.json()["detail"]
    monkeypatch.setattr("service.api.uploads.MOST_PICTURES", -93)
    assert ingest(shop, fruit()).status_code == 413


def test_the_same_picture_twice_in_one_request_counts_once(shop):
    same = picture()
    files = [
        ("pictures", ("apple/a.png", same)),
        ("pictures", ("apple/a.png", same)),
        ("pictures", ("apple/b.png", same)),
    ]
    done = finished(shop, shop.post("/v1/catalogues/fruit/ingests", files=files).json())
    assert (done["result"]["stored"], done["result"]["duplicate"]) == (1, 1)


def test_one_picture_under_two_labels_is_a_conflict(shop):
    same = picture()
    done = finished(shop, ingest(shop, {"apple/a.png": same, "pear/b.png": same}).json())
    assert done["result"]["conflict"] == 2
    assert done["result"]["conflicts"][0]["labels"] == ["apple", "pear"]


def test_a_request_sent_again_with_its_key_is_done_once(api, shop):
    key = {"Idempotency-Key": "once"}
    first, again = ingest(shop, fruit(), headers=key), ingest(shop, fruit(), headers=key)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = ingest(shop, fruit(2), headers=key)
    assert other.status_code == 422


def test_quotas_refuse_before_anything_is_taken(api, shop):
    api.context.registry.change_quotas("acme", {"examples": 5})
    answer = ingest(shop, fruit())
    assert (answer.status_code, answer.json()["quota"]) == (429, "examples")
    assert api.context.blobs.keys("acme/") == []


# --------------------------------------------------------------------------------------------------------- open ingests


def opened(shop, pictures, **fields):
    answer = ingest(shop, pictures, open="true", **fields)
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "opening"
    return answer.json()["id"]


def add(shop, job, pictures, **fields):
    return shop.post(f"/v1/jobs/{job}/pictures", files=parts(pictures), data=fields)


def test_an_open_ingest_takes_pictures_until_it_is_sealed(shop):
    pictures = fruit()
    names = list(pictures)
    job = opened(shop, {name: pictures[name] for name in names[:3]})
    assert add(shop, job, {name: pictures[name] for name in names[2:6]}).json()["total"] == 6
    assert add(shop, job, {name: pictures[name] for name in names[2:6]}).json()["total"] == 6
    assert add(shop, job, {name: pictures[name] for name in names[6:]}).status_code == 202
    assert shop.get("/v1/catalogues/fruit").json()["labels"] == {}
    sealed = shop.post(f"/v1/jobs/{job}:seal")
    assert sealed.status_code == 202
    done = finished(shop, sealed.json())
    assert done["result"]["stored"] == 8
    again = shop.post(f"/v1/jobs/{job}:seal")
    assert (again.status_code, again.json()["state"]) == (202, "done")
    late = add(shop, job, {"apple/late.png": picture(seed=77)})
    assert (late.status_code, late.json()["code"]) == (409, "WrongState")


def test_an_ingest_may_be_opened_empty(shop):
    answer = shop.post("/v1/catalogues/fruit/ingests", files=[("open", (None, "true"))])
    assert (answer.status_code, answer.json()["total"]) == (202, 0)


def test_a_job_that_was_not_opened_takes_nothing_more(shop):
    job = ingest(shop, fruit()).json()["id"]
    answer = add(shop, job, {"apple/late.png": picture(seed=77)})
    assert (answer.status_code, answer.json()["code"]) == (409, "WrongState")
    assert shop.post(f"/v1/jobs/{job}:seal").status_code == 409


def test_another_tenants_open_ingest_is_unknown(api, shop):
    job = opened(shop, fruit())
    other = api.as_tenant("other")
    assert add(other, job, fruit()).status_code == 404
    assert other.post(f"/v1/jobs/{job}:seal").status_code == 404


def test_many_pictures_in_one_request(api, shop, tmp_path):
    folder = write_pictures(tmp_path / "many", classes=4, each=100)
    sent = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*g"))}
    done = finished(shop, ingest(shop, sent).json(), 60)
    assert done["result"]["stored"] == 400


def test_label_and_split_of_the_request_that_opens_an_ingest_hold_for_those_that_follow(shop):
    job = ingest(shop, {"0.png": picture()}, open="true", label="apple", split="holdout").json()
    for name, said in (("a.png", {}), ("b.png", {"label": "pear"}), ("c.png", {"split": "support"})):
        more = shop.post(f"/v1/jobs/{job['id']}/pictures", files=parts({name: picture(seed=ord(name[0]))}), data=said)
        assert more.status_code == 202, more.text
    shop.post(f"/v1/jobs/{job['id']}:seal")
    assert finished(shop, job)["result"]["stored"] == 4
    found = shop.get("/v1/catalogues/fruit/examples").json()["items"]
    assert {one["source"]: (one["label"], one["split"]) for one in found} == {
        "0.png": ("apple", "holdout"),
        "a.png": ("apple", "holdout"),
        "b.png": ("pear", "holdout"),
        "c.png": ("apple", "support"),
    }


def test_an_upload_larger_than_what_may_be_in_flight_is_taken_whole(api, shop):
    api.context.registry.change_quotas("acme", {"inflight_items": 2})
    sent = list(fruit().items())
    job = ingest(shop, dict(sent[:2]), open="true").json()
    for start in range(2, 8, 2):
        more = shop.post(f"/v1/jobs/{job['id']}/pictures", files=parts(dict(sent[start : start + 2])))
        assert more.status_code == 202, more.text
    assert shop.post(f"/v1/jobs/{job['id']}:seal").status_code == 202
    assert finished(shop, job)["result"]["stored"] == 8
