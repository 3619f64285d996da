"""Labels over HTTP: the classes of a catalogue, renamed and deleted as a whole; and the list of catalogues."""

from __future__ import annotations

import pytest

from service.records import Scope
from service.usecases import classes
from service.usecases.context import partition_of
from tests.api.filled import ingest, optimise, picture, write_fruit
from tests.api.test_examples import walked

FRUIT = "/v1/catalogues/fruit"
LABELS = f"{FRUIT}/labels"


@pytest.fixture
def fruit(acme, context, tmp_path, monkeypatch):
    """A client of a tenant with 18 pictures of three labels, one handed over under two; batches of four."""
    monkeypatch.setattr(classes, "BATCH", 4)
    folder = write_fruit(tmp_path / "fruit")
    (folder / "plum" / "x.png").write_bytes(picture("apple", 0))
    ingest(context, "acme", "fruit", folder)
    return acme


def stored_labels(context):
    """Label of each point, and its split, as queries filter by them."""
    partition = partition_of(context.registry.catalogue("acme", "fruit"))
    points = context.store.fetch(partition, context.store.ids(partition, {}), with_embeddings=False)
    return {one: (row["label"], row["split"]) for one, row in zip(points.ids, points.payloads, strict=True)}


def rows(context):
    catalogue = context.registry.catalogue("acme", "fruit")
    return {one.id: one for one in context.registry.examples(catalogue.id)}


def test_labels_come_with_what_they_hold(fruit, context):
    optimise(context, "acme", "fruit", budget=2)
    found = walked(fruit, LABELS)
    assert [one["label"] for one in found] == ["apple", "lime", "plum"]
    assert [sum(one["examples"].values()) for one in found] == [5, 6, 6]
    assert [one["conflicts"] for one in found] == [1, 0, 1]
    assert all(1 <= one["references"] <= 2 for one in found)
    first = fruit.get(LABELS, params={"limit": 2}).json()
    rest = fruit.get(LABELS, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [*first["items"], *rest["items"]] == found


def test_renaming_takes_the_whole_class_along_and_may_be_asked_twice(fruit, context):
    optimise(context, "acme", "fruit", budget=2)
    before = rows(context)
    first = fruit.patch(f"{LABELS}/lime", json={"label": "citrus/green"})
    assert first.status_code == 200, first.text
    assert first.json() == {"label": "citrus/green", "relabelled": 6, "merged": False, "examples": 6, "conflicts": 0}
    again = fruit.patch(f"{LABELS}/lime", json={"label": "citrus/green"}).json()
    assert (again["relabelled"], again["examples"]) == (0, 6)
    after = rows(context)
    assert {one: row.split for one, row in after.items()} == {one: row.split for one, row in before.items()}
    for one, (label, _) in stored_labels(context).items():
        assert label == after[one].label == {"lime": "citrus/green"}.get(before[one].label, before[one].label)
    (shown,) = [one for one in walked(fruit, LABELS) if one["label"] == "citrus/green"]
    assert shown["references"] > 0, "the class still answers"
    back = fruit.patch(f"{LABELS}/citrus%2Fgreen", json={"label": "lime"}).json()
    assert (back["relabelled"], back["merged"]) == (6, False)


def test_a_class_may_be_merged_into_another(fruit):
    answer = fruit.patch(f"{LABELS}/apple", json={"label": " plum "}).json()
    assert answer == {"label": "plum", "relabelled": 5, "merged": True, "examples": 11, "conflicts": 1}
    assert [one["label"] for one in walked(fruit, LABELS) if sum(one["examples"].values())] == ["lime", "plum"]
    same = fruit.patch(f"{LABELS}/plum", json={"label": "plum"}).json()
    assert (same["relabelled"], same["merged"], same["examples"]) == (0, False, 11)


def test_a_renaming_that_was_broken_off_is_finished_by_the_next(fruit, context, monkeypatch):
    def die(*args):
        raise RuntimeError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(context.store, "set_payload", die)
        assert fruit.patch(f"{LABELS}/lime", json={"label": "lemon"}).status_code == 500
    left = {label for label, _ in stored_labels(context).values()}
    assert "lime" in left
    assert fruit.patch(f"{LABELS}/lime", json={"label": "lemon"}).json()["examples"] == 6
    assert "lime" not in {label for label, _ in stored_labels(context).values()}


def test_a_class_is_deleted_for_good(fruit, context):
    optimise(context, "acme", "fruit", budget=2)
    gone = {one for one, row in rows(context).items() if row.label == "lime"}
    hashes = {rows(context)[one].content_hash for one in gone}
    answer = fruit.delete(f"{LABELS}/lime")
    assert (answer.status_code, answer.json()) == (200, {"label": "lime", "dropped": 6, "conflicts": 0})
    assert [one["label"] for one in walked(fruit, LABELS)] == ["apple", "plum"]
    assert not gone & set(stored_labels(context))
    assert not [key for key in context.blobs.keys("acme/") if key.split("/")[-1].split(".")[0] in hashes]
    again = fruit.delete(f"{LABELS}/lime")
    assert (again.status_code, again.json()["code"]) == (404, "LabelNotFound")


def test_conflicts_are_left_to_be_decided(fruit):
    assert fruit.delete(f"{LABELS}/apple").json() == {"label": "apple", "dropped": 5, "conflicts": 1}
    assert "wait for a decision" in fruit.delete(f"{LABELS}/apple").json()["detail"]
    (held,) = walked(fruit, f"{FRUIT}/examples", state="conflict")
    assert held["conflict_labels"] == ["apple", "plum"]


def test_what_cannot_be_renamed(fruit):
    assert fruit.patch(f"{LABELS}/pear", json={"label": "quince"}).json()["code"] == "LabelNotFound"
    for wrong in ({}, {"label": ""}, {"label": "  "}, {"label": "x" * 201}, {"label": "a\nb"}, {"name": "x"}):
        assert fruit.patch(f"{LABELS}/lime", json=wrong).status_code == 422
    assert fruit.delete(f"{LABELS}/{'x' * 201}").status_code == 422
    assert fruit.delete(f"{LABELS}/a%00b").status_code == 422
    assert len(walked(fruit, LABELS)) == 3


def test_no_class_has_a_name_for_which_clients_cut_paths_short(fruit):
    """`labels/..` is the catalogue to browsers and to httpx, one with a slash behind, the other without."""
    for label in ("..", ".", "a/../..", "./a"):
        assert fruit.patch(f"{LABELS}/lime", json={"label": label}).status_code == 422
    assert fruit.delete(f"{FRUIT}/").status_code == 404
    assert fruit.delete(f"{LABELS}/%2e%2e").status_code == 422
    assert fruit.delete(f"{LABELS}/").status_code == 422
    assert len(walked(fruit, LABELS)) == 3


def test_another_tenant_changes_no_class(fruit, api, context, tmp_path):
    ingest(context, "rival", "fruit", write_fruit(tmp_path / "rival", 1, ("lime",)))
    rival = api.as_tenant("rival")
    assert rival.patch(f"{LABELS}/plum", json={"label": "x"}).status_code == 404
    assert rival.delete(f"{LABELS}/lime").json()["dropped"] == 1
    assert walked(rival, LABELS) == []
    assert len(walked(fruit, LABELS)) == 3
    reader = api.as_tenant("acme", (Scope.READ,))
    assert reader.delete(f"{LABELS}/lime").status_code == 403
    assert reader.patch(f"{LABELS}/lime", json={"label": "x"}).status_code == 403


def test_catalogues_are_listed_by_name_and_only_ones_own(acme, api):
    for name in ("pear", "fig", "apple", "lime", "Zebra"):
        assert acme.post("/v1/catalogues", json={"name": name}).status_code == 201
    api.as_tenant("rival").post("/v1/catalogues", json={"name": "banana"})
    found = walked(acme, "/v1/catalogues")
    assert [one["name"] for one in found] == ["Zebra", "apple", "fig", "lime", "pear"]
    assert found[1] == acme.get("/v1/catalogues/apple").json()
    assert acme.get("/v1/catalogues", params={"cursor": "x"}).status_code == 422
