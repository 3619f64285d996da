"""Selections over HTTP: their history, comparison, activation, and how well they do."""

from __future__ import annotations

import json
import re

import pytest

from service.records import Scope
from service.usecases.context import report_key
from tests.api.filled import ingest, optimise, picture, write_fruit

FRUIT = "/v1/catalogues/fruit"
SELECTIONS = f"{FRUIT}/selections"
UNKNOWN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def fruit(acme, context, tmp_path):
    """A client of a tenant with 24 pictures of three labels, a few of them hard to tell."""
    folder = write_fruit(tmp_path / "fruit", 8)
    for number in range(3):
        (folder / "plum" / f"like-lime-{number}.png").write_bytes(picture("lime", 100 + number))
    ingest(context, "acme", "fruit", folder)
    return acme


@pytest.fixture
def two(fruit, context):
    """Ids of two selections, the older first."""
    return optimise(context, "acme", "fruit", strategy="all"), optimise(context, "acme", "fruit", budget=1)


def got(client, path, status=200, **query):
    answer = client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_history_shows_newest_first(fruit, two):
    older, newer = two
    first = got(fruit, SELECTIONS, limit=1)
    assert [one["id"] for one in first["items"]] == [newer]
    rest = got(fruit, SELECTIONS, limit=1, cursor=first["next_cursor"])
    assert ([one["id"] for one in rest["items"]], rest["next_cursor"]) == ([older], None)
    assert first["items"][0]["active"]
    assert not rest["items"][0]["active"]
    assert rest["items"][0]["retired_at"] is not None
    assert got(fruit, SELECTIONS)["items"] == [*first["items"], *rest["items"]]
    other = f"{first['next_cursor'][:-4]}AAAA"
    assert fruit.get(SELECTIONS, params={"cursor": other}).status_code in (404, 422)


def test_a_selection_in_full(fruit, two, context):
    newer = two[1]
    shown = got(fruit, f"{SELECTIONS}/{newer}")
    assert shown["references_by_label"] == {"apple": 1, "lime": 1, "plum": 1}
    assert (shown["references"], shown["provisional"], shown["seed"]) == (3, 0, 3)
    assert shown["figures"]["accuracy"] == shown["accuracy"]
    assert shown["recipe"]["maximum"] == 1
    members = got(fruit, shown["links"]["members"], limit=2)
    rest = got(fruit, shown["links"]["members"], limit=2, cursor=members["next_cursor"])
    everyone = [*members["items"], *rest["items"]]
    assert [one["id"] for one in everyone] == [one.example_id for one in context.registry.members(newer)]
    assert all(one["reference"]["centrality"] is not None for one in everyone)
    (lime,) = got(fruit, shown["links"]["members"], label="lime")["items"]
    assert lime["label"] == "lime"
    assert fruit.get(lime["links"]["thumbnail"]).status_code == 200


def test_two_are_compared(fruit, two, context):
    older, newer = two
    diff = got(fruit, f"{SELECTIONS}/{newer}/diff", **{"with": older})
    assert (diff["this"]["id"], diff["other"]["id"]) == (newer, older)
    members = {one.example_id for one in context.registry.members(older)}
    assert sum(one["only_other"]["count"] for one in diff["references"]) == len(members) - 3
    assert all(one["only_this"]["count"] == 0 and one["both"] == 1 for one in diff["references"])
    assert fruit.get(diff["references"][0]["only_other"]["thumbnails"][0]).status_code == 200
    assert diff["recipe"]["strategy"] == {"this": diff["this"]["strategy"], "other": "all"}
    assert diff["figures"]["accuracy"] == {"this": diff["this"]["accuracy"], "other": diff["other"]["accuracy"]}
    same = got(fruit, f"{SELECTIONS}/{newer}/diff", **{"with": newer})
    assert (same["references"], same["thresholds"], same["recipe"]) == ([], {}, {})
    assert got(fruit, f"{SELECTIONS}/{newer}/diff", 404, **{"with": UNKNOWN})["code"] == "SelectionNotFound"
    assert fruit.get(f"{SELECTIONS}/{newer}/diff").status_code == 422


def test_activating_moves_the_pointer_and_may_be_asked_twice(fruit, two):
    older, newer = two
    for _ in range(2):
        answer = fruit.post(f"{SELECTIONS}/{older}:activate")
        assert answer.status_code == 200, answer.text
        assert (answer.json()["id"], answer.json()["active"]) == (older, True)
    assert got(fruit, FRUIT)["active_selection"] == older
    assert fruit.post(f"{SELECTIONS}:rollback").json()["id"] == newer
    assert got(fruit, FRUIT)["active_selection"] == newer
    assert fruit.post(f"{SELECTIONS}:rollback").json()["id"] == older, "back to where it began"
    assert fruit.post(f"{SELECTIONS}/{UNKNOWN}:activate").status_code == 404


def test_there_may_be_nothing_to_go_back_to(fruit, context):
    for _ in range(2):
        answer = fruit.post(f"{SELECTIONS}:rollback")
        assert (answer.status_code, answer.json()["code"]) == (409, "NothingToServe")
        if not got(fruit, SELECTIONS)["items"]:
            optimise(context, "acme", "fruit", strategy="all")


def test_the_report_is_a_page_in_a_sandbox(fruit, two):
    for selection in two:
        answer = fruit.get(f"{SELECTIONS}/{selection}/report")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "fruit" in answer.text
        assert selection in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='; ", policy)
        assert policy.endswith("sandbox allow-scripts")
        assert answer.headers["cross-origin-opener-policy"] == "unsafe-none"
        assert answer.headers["cache-control"] == "no-store"


def test_the_pictures_behind_the_cells_are_those_of_the_matrix(fruit, two, context):
    older = two[0]
    shown = got(fruit, f"{SELECTIONS}/{older}/confusion")
    assert shown["labels"] == ["apple", "lime", "plum"]
    assert shown["images"] == got(fruit, f"{SELECTIONS}/{older}")["images"] > 0
    assert (shown["pictures"], shown["note"]) == (True, None)
    seen = set()
    for row, label in enumerate(shown["labels"]):
        for column, predicted in enumerate(shown["labels"]):
            cell = got(fruit, f"{SELECTIONS}/{older}/confusion/pictures", label=label, predicted=predicted)["items"]
            assert len(cell) == shown["matrix"][row][column]
            assert all(one["label"] == label for one in cell)
            assert [one["confidence"] for one in cell] == sorted((one["confidence"] for one in cell), reverse=True)
            assert all(0 <= one["confidence"] <= 1 for one in cell)
            seen |= {one["id"] for one in cell}
    assert len(seen) == shown["images"]
    right = sum(shown["matrix"][row][row] for row in range(3)) / shown["images"]
    assert right == pytest.approx(got(fruit, f"{SELECTIONS}/{older}")["accuracy"])
    assert fruit.get(cell[0]["thumbnail"] if cell else f"{SELECTIONS}").status_code == 200


def test_a_cell_comes_in_pages_without_what_was_dropped(fruit, two):
    path = f"{SELECTIONS}/{two[0]}/confusion/pictures"
    shown = got(fruit, f"{SELECTIONS}/{two[0]}/confusion")
    row = max(range(3), key=lambda one: shown["matrix"][one][one])
    query = {"label": shown["labels"][row], "predicted": shown["labels"][row]}
    whole = got(fruit, path, **query)["items"]
    assert len(whole) > 1
    first = got(fruit, path, limit=1, **query)
    rest = got(fruit, path, cursor=first["next_cursor"], **query)
    assert [*first["items"], *rest["items"]] == whole
    assert fruit.delete(f"{FRUIT}/examples/{whole[0]['id']}").status_code == 204
    assert got(fruit, path, **query)["items"] == whole[1:]
    assert got(fruit, path, label="none", predicted="none")["items"] == []
    assert got(fruit, path, label=query["label"])["items"] == [], "nothing was rejected"


def test_an_older_selection_tells_the_matrix_and_says_what_is_missing(fruit, two, context):
    key = report_key("acme", two[1])
    stored = json.loads(context.blobs.get(key))
    del stored["judged"]
    context.blobs.put(key, json.dumps(stored).encode())
    shown = got(fruit, f"{SELECTIONS}/{two[1]}/confusion")
    assert (shown["matrix"], shown["pictures"]) == (stored["confusion"]["matrix"], False)
    assert "optimise again" in shown["note"]
    assert got(fruit, f"{SELECTIONS}/{two[1]}/confusion/pictures", label="lime", predicted="lime")["items"] == []
    context.blobs.delete([key])
    gone = got(fruit, f"{SELECTIONS}/{two[1]}/confusion")
    assert (gone["matrix"], gone["pictures"]) == ([], False)
    assert "is gone" in gone["note"]


def test_one_picture_a_class_is_judged_on_nothing(acme, context, tmp_path):
    ingest(context, "acme", "fruit", write_fruit(tmp_path / "few", 1))
    selection = optimise(context, "acme", "fruit")
    shown = got(acme, f"{SELECTIONS}/{selection}/confusion")
    assert (shown["labels"], shown["images"], shown["measured_on"]) == ([], 0, "nothing")
    assert "too few" in shown["note"]
    assert acme.get(f"{SELECTIONS}/{selection}/report").status_code == 200


def test_another_tenant_sees_no_selection(fruit, two, api, context, tmp_path):
    ingest(context, "rival", "fruit", write_fruit(tmp_path / "rival", 2))
    rival = api.as_tenant("rival")
    own = optimise(context, "rival", "fruit")
    one = two[0]
    for path in ("", "/members", "/report", "/confusion", "/confusion/pictures?label=a", f"/diff?with={one}"):
        theirs, unknown = rival.get(f"{SELECTIONS}/{one}{path}"), rival.get(f"{SELECTIONS}/{UNKNOWN}{path}")
        assert theirs.status_code == unknown.status_code == 404
        assert theirs.json()["detail"].replace(one, "") == unknown.json()["detail"].replace(UNKNOWN, "")
    assert rival.get(f"{SELECTIONS}/{own}/diff", params={"with": one}).status_code == 404
    assert rival.post(f"{SELECTIONS}/{one}:activate").status_code == 404
    assert [row["id"] for row in got(rival, SELECTIONS)["items"]] == [own]
    assert got(fruit, FRUIT)["active_selection"] == two[1]


def test_reading_does_not_activate(fruit, two, api):
    reader = api.as_tenant("acme", (Scope.READ,))
    assert reader.post(f"{SELECTIONS}/{two[0]}:activate").status_code == 403
    assert reader.post(f"{SELECTIONS}:rollback").status_code == 403
