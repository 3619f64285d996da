"""The map over HTTP."""

from __future__ import annotations

import pytest

from service.usecases import mapping
from tests.api.filled import ingest, optimise, write_fruit

MAP = "/v1/catalogues/fruit/map"


def shown(client, **query):
    answer = client.get(MAP, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_map_shows_every_example_and_marks_references(acme, context, tmp_path):
    ingest(context, "acme", "fruit", write_fruit(tmp_path / "fruit", 8))
    before = shown(acme)
    assert (len(before["places"]), before["total"], before["selection"], before["head"]) == (24, 24, None, "none")
    assert not any(one["reference"] for one in before["places"])
    assert all(-1 <= one["x"] <= 1 and -1 <= one["y"] <= 1 for one in before["places"])
    assert len({(one["x"], one["y"]) for one in before["places"]}) > 20
    assert acme.get(before["places"][0]["thumbnail"]).status_code == 200
    selection = optimise(context, "acme", "fruit", budget=2)
    after = shown(acme)
    assert after["selection"] == selection
    members = {one.example_id for one in context.registry.members(selection)}
    assert {one["id"] for one in after["places"] if one["reference"]} == members
    few = shown(acme, limit=9)
    assert (len(few["places"]), few["total"]) == (9, 24)
    assert {one["label"] for one in few["places"]} == {"apple", "lime", "plum"}


def test_a_map_is_laid_out_once_and_labels_are_as_they_are(acme, context, tmp_path, monkeypatch):
    ingest(context, "acme", "fruit", write_fruit(tmp_path / "fruit", 4))
    laid = []
    lay = mapping.laid_out
    monkeypatch.setattr(mapping, "laid_out", lambda *args: laid.append(1) or lay(*args))
    before = shown(acme)
    one = before["places"][0]
    acme.patch(f"/v1/catalogues/fruit/examples/{one['id']}", json={"label": "stone"})
    after = shown(acme)
    assert len(laid) == 1
    assert after["places"][0] == {**one, "label": "stone"}
    assert after["places"][1:] == before["places"][1:]
    for limit in range(1, 9):
        shown(acme, limit=limit)
    assert len(context.blobs.keys("acme/derived/")) <= mapping.MOST_KEPT + 1
    acme.delete(f"/v1/catalogues/fruit/examples/{one['id']}")
    assert context.blobs.keys("acme/derived/") == []
    assert len(shown(acme)["places"]) == 11


@pytest.mark.parametrize("pictures", [1, 2])
def test_one_and_two_examples_have_a_map(acme, context, tmp_path, pictures):
    ingest(context, "acme", "fruit", write_fruit(tmp_path / "fruit", pictures, ("lime",)))
    places = shown(acme)["places"]
    assert len(places) == pictures
    assert {abs(one["x"]) for one in places} == ({0.0} if pictures == 1 else {1.0})


def test_what_was_torn_is_laid_out_anew(acme, context, tmp_path):
    ingest(context, "acme", "fruit", write_fruit(tmp_path / "fruit", 2))
    before = shown(acme)
    (key,) = context.blobs.keys("acme/derived/")
    context.blobs.put(key, context.blobs.get(key)[:40])
    assert shown(acme) == before


def test_an_empty_catalogue_has_an_empty_map(acme, api):
    acme.post("/v1/catalogues", json={"name": "fruit"})
    assert shown(acme) == {"places": [], "total": 0, "selection": None, "head": "none"}
    for wrong in (0, 2001, "x"):
        assert acme.get(MAP, params={"limit": wrong}).status_code == 422
    assert api.as_tenant("rival").get(MAP).status_code == 404
