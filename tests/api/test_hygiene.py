"""Hygiene over HTTP: a queue of findings, and decisions that stick."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from service.records import Scope
from service.usecases import hygiene
from tests.api.filled import ingest, picture, write_fruit

FRUIT = "/v1/catalogues/fruit"
HYGIENE = f"{FRUIT}/hygiene"
DECISIONS = f"{HYGIENE}/decisions"
UNKNOWN = "00000000-0000-0000-0000-000000000000"


def resized(data: bytes, side: int) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.resize((side, side)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def fruit(acme, context, tmp_path):
    """24 pictures; one under two labels, one of one colour, two that are nearly another, one far too small."""
    folder = write_fruit(tmp_path / "fruit", 8)
    (folder / "plum" / "conflict.png").write_bytes(picture("apple", 0))
    Image.new("RGB", (48, 48), (90, 30, 120)).save(folder / "plum" / "plain.png")
    (folder / "lime" / "small.png").write_bytes(picture("lime", 50, side=12))
    for number in (0, 1):
        (folder / "lime" / f"again-{number}.png").write_bytes(resized(picture("lime", number), 44))
    ingest(context, "acme", "fruit", folder)
    return acme


def listed(client, **query):
    answer = client.get(HYGIENE, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def decided(client, example, decision, status=200, **more):
    answer = client.post(DECISIONS, json={"example": example, "decision": decision, **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def first(client, kind):
    found = listed(client, kind=kind)
    assert found["total"] == len(found["findings"]) > 0
    return found["findings"][0]


def test_findings_come_with_their_pictures(fruit):
    found = listed(fruit)
    assert found["examples"] == 28
    assert found["total"] == sum(found["counts"].values()) == len(found["findings"])
    assert (found["counts"]["conflict"], found["counts"]["blank"]) == (1, 1)
    assert found["counts"]["small"] >= 1
    assert not found["changed"]
    for one in found["findings"]:
        for shown in [*([one["example"]] if one["example"] else []), *one["others"]]:
            assert fruit.get(shown["thumbnail"]).status_code == 200
            assert fruit.get(shown["example"]).json()["label"] == shown["label"]
    few = listed(fruit, kind="small", limit=1)
    assert (len(few["findings"]), few["total"]) == (1, found["counts"]["small"])
    assert few["counts"] == found["counts"]


def test_a_survey_is_made_once(fruit, monkeypatch):
    made = []
    look = hygiene.looked_over
    monkeypatch.setattr(hygiene, "looked_over", lambda *args: made.append(1) or look(*args))
    before = listed(fruit)
    assert listed(fruit)["made_at"] == before["made_at"]
    assert listed(fruit, renew=True)["made_at"] == before["made_at"], "nothing changed"
    assert len(made) == 1
    blank = first(fruit, "blank")
    decided(fruit, blank["example"]["id"], "drop")
    after = listed(fruit)
    assert (after["changed"], after["made_at"]) == (True, before["made_at"])
    assert len(made) == 1
    renewed = listed(fruit, renew=True)
    assert (renewed["changed"], renewed["examples"]) == (False, 27)
    assert len(made) == 2


def test_kept_is_not_listed_again(fruit):
    one = first(fruit, "blank")
    before = listed(fruit)
    for _ in range(2):
        answer = decided(fruit, one["example"]["id"], "keep")
        assert "blank" in answer["kept"]
        assert (answer["label"], answer["taken_back"]) == ("plum", False)
    after = listed(fruit)
    assert after["counts"]["blank"] == 0
    assert after["accepted"] == before["accepted"] + before["total"] - after["total"]
    assert listed(fruit, renew=True)["counts"]["blank"] == 0


def test_keeping_needs_no_survey(fruit):
    (one,) = [row for row in fruit.get(f"{FRUIT}/examples").json()["items"] if row["source"].endswith("plum/plain.png")]
    assert "blank" in decided(fruit, one["id"], "keep")["kept"]
    assert listed(fruit)["counts"]["blank"] == 0


def test_relabelling_settles_a_conflict_and_makes_an_example_new(fruit):
    one = first(fruit, "conflict")
    assert sorted(one["labels"]) == ["apple", "plum"]
    refused = decided(fruit, one["example"]["id"], "keep", 422)
    assert "several labels" in refused["detail"]
    answer = decided(fruit, one["example"]["id"], "relabel", label="apple")
    assert (answer["label"], answer["kept"]) == ("apple", [])
    after = listed(fruit)
    assert after["counts"]["conflict"] == 0
    assert fruit.get(one["example"]["example"]).json()["state"] == "active"
    blank = first(fruit, "blank")
    decided(fruit, blank["example"]["id"], "keep")
    assert decided(fruit, blank["example"]["id"], "relabel", label="stone")["kept"] == []
    assert listed(fruit, renew=True)["counts"]["blank"] == 1


def test_dropped_it_stays_out_until_it_is_kept(fruit, context, tmp_path):
    one = first(fruit, "blank")["example"]
    decided(fruit, one["id"], "drop")
    job = ingest(context, "acme", "fruit", tmp_path / "fruit")
    assert fruit.get(f"/v1/jobs/{job.id}").json()["counts"] == {"conflict": 2, "duplicate": 26, "skipped": 1}
    (item,) = fruit.get(f"/v1/jobs/{job.id}/items", params={"state": "skipped"}).json()["items"]
    assert item["source"].endswith("plain.png")
    how = f"`holotype keep fruit {one['id']}` (over HTTP: POST {DECISIONS}, decision keep) takes that back"
    assert item["reason"].startswith(f"it was dropped: {how}")
    for again in (decided(fruit, one["id"], "drop", 404), fruit.get(f"{FRUIT}/examples/{one['id']}").json()):
        assert (again["status"], again["code"]) == (404, "ExampleNotFound")
        assert again["detail"] == f"the example '{one['id']}' was dropped; {how}"
    assert decided(fruit, one["id"], "keep") == {
        "example": one["id"],
        "decision": "keep",
        "label": None,
        "kept": [],
        "taken_back": True,
        "new_class": False,
        "close": [],
    }
    assert decided(fruit, one["id"], "keep", 404)["code"] == "ExampleNotFound"
    assert ingest(context, "acme", "fruit", tmp_path / "fruit").result["stored"] == 1


def test_what_is_dropped_is_listed_until_it_is_kept(fruit, api):
    rows = {row["id"]: row for row in fruit.get(f"{FRUIT}/examples", params={"label": "lime"}).json()["items"]}
    gone = sorted(rows)[:3]
    for one in gone:
        decided(fruit, one, "drop")
    assert fruit.get(f"{FRUIT}/dropped").json() == {
        "items": [
            {"id": one, "labels": ["lime"], "content_hash": rows[one]["content_hash"], "crop": ""} for one in gone
        ],
        "next_cursor": None,
    }
    first = fruit.get(f"{FRUIT}/dropped", params={"limit": 2}).json()
    second = fruit.get(f"{FRUIT}/dropped", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [row["id"] for row in first["items"] + second["items"]] == gone
    assert second["next_cursor"] is None
    decided(fruit, gone[0], "keep")
    assert [row["id"] for row in fruit.get(f"{FRUIT}/dropped").json()["items"]] == gone[1:]
    assert api.as_tenant("rival").get(f"{FRUIT}/dropped").status_code == 404
    assert fruit.get(f"{FRUIT}/dropped", params={"cursor": "x"}).status_code == 422


def test_dropping_takes_every_trace_along(fruit, context):
    one = first(fruit, "blank")["example"]
    assert decided(fruit, one["id"], "drop") == {
        "example": one["id"],
        "decision": "drop",
        "label": None,
        "kept": [],
        "taken_back": False,
        "new_class": False,
        "close": [],
    }
    assert decided(fruit, one["id"], "drop", 404)["code"] == "ExampleNotFound"
    assert listed(fruit)["counts"]["blank"] == 0
    derived = [context.blobs.get(key) for key in context.blobs.keys("acme/derived/")]
    assert derived
    assert not any(one["id"].encode() in data for data in derived)
    assert fruit.delete(FRUIT).status_code == 204
    assert context.blobs.keys("acme/") == []


def test_what_cannot_be_decided(fruit):
    one = first(fruit, "blank")["example"]["id"]
    assert "needs a label" in decided(fruit, one, "relabel", 422)["detail"]
    assert "takes no label" in decided(fruit, one, "keep", 422, label="x")["detail"]
    assert decided(fruit, one, "burn", 422)["code"] == "InvalidRequest"
    assert decided(fruit, UNKNOWN, "keep", 404)["code"] == "ExampleNotFound"
    assert fruit.get(HYGIENE, params={"kind": "x"}).status_code == 422
    assert fruit.get(HYGIENE, params={"limit": 0}).status_code == 422


def test_an_empty_catalogue_has_nothing_to_decide(acme):
    acme.post("/v1/catalogues", json={"name": "empty"})
    found = acme.get("/v1/catalogues/empty/hygiene").json()
    assert (found["examples"], found["total"], found["made_at"]) == (0, 0, None)


def test_another_tenant_decides_nothing(fruit, api, context, tmp_path):
    one = first(fruit, "blank")["example"]["id"]
    ingest(context, "rival", "fruit", write_fruit(tmp_path / "rival", 2))
    rival = api.as_tenant("rival")
    assert listed(rival)["examples"] == 6
    for decision, more in (("keep", {}), ("drop", {}), ("relabel", {"label": "x"})):
        theirs, unknown = decided(rival, one, decision, 404, **more), decided(rival, UNKNOWN, decision, 404, **more)
        assert theirs["detail"].replace(one, "") == unknown["detail"].replace(UNKNOWN, "")
    assert first(fruit, "blank")["example"]["id"] == one
    reader = api.as_tenant("acme", (Scope.READ,))
    assert reader.post(DECISIONS, json={"example": one, "decision": "drop"}).status_code == 403
