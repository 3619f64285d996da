"""Examples and their pictures over HTTP."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from service.records import Scope
from service.usecases.context import THUMBNAIL_EDGES_PX, image_key, thumbnail_key
from tests.api.filled import ingest, optimise, picture, write_fruit

FRUIT = "/v1/catalogues/fruit"


@pytest.fixture
def fruit(acme, context, tmp_path):
    """A client of a tenant with 18 pictures of three labels, one of them handed over under two."""
    folder = write_fruit(tmp_path / "fruit")
    (folder / "plum" / "x.png").write_bytes(picture("apple", 0))
    ingest(context, "acme", "fruit", folder)
    return acme


@pytest.fixture
def rival(api, context, tmp_path):
    """A client of another tenant, whose catalogue has the same name and one picture."""
    ingest(context, "rival", "fruit", write_fruit(tmp_path / "rival", 1, ("lime",)))
    return api.as_tenant("rival")


def walked(client, path, **query):
    """Rows of every page of a list."""
    rows, cursor = [], None
    while True:
        answer = client.get(path, params={**query, "limit": 4, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows
        assert len(page["items"]) == 4


def test_examples_come_in_pages(fruit):
    rows = walked(fruit, f"{FRUIT}/examples")
    assert len(rows) == 18
    assert [one["id"] for one in rows] == sorted({one["id"] for one in rows})
    limes = walked(fruit, f"{FRUIT}/examples", label=" lime ")
    assert limes == [one for one in rows if one["label"] == "lime"]
    support = walked(fruit, f"{FRUIT}/examples", split="support", state="active")
    assert support == [one for one in rows if one["split"] == "support" and one["state"] == "active"]
    (held,) = walked(fruit, f"{FRUIT}/examples", state="conflict")
    assert held["conflict_labels"] == ["apple", "plum"]
    assert walked(fruit, f"{FRUIT}/examples", reference="true") == [], "nothing was optimised yet"
    assert fruit.get(f"{FRUIT}/examples/{rows[0]['id']}").json() == rows[0]


def test_a_full_last_page_is_the_last(fruit):
    answer = fruit.get(f"{FRUIT}/examples", params={"limit": 18}).json()
    assert (len(answer["items"]), answer["next_cursor"]) == (18, None)


def test_references_are_those_of_the_selection_that_serves(fruit, context):
    selection = optimise(context, "acme", "fruit")
    rows = walked(fruit, f"{FRUIT}/examples", reference="true")
    members = {one.example_id: one for one in context.registry.members(selection)}
    assert {one["id"] for one in rows} == set(members)
    for one in rows:
        assert one["reference"]["centrality"] == members[one["id"]].centrality
    others = [one for one in walked(fruit, f"{FRUIT}/examples") if one["id"] not in members]
    assert all(one["reference"] is None for one in others)


@pytest.mark.parametrize(
    "query", ["split=none", "state=x", "limit=0", "limit=501", "cursor=x", "label=%00", "reference=false", "cursor=W10"]
)
def test_what_cannot_be_asked_is_a_problem(fruit, query):
    answer = fruit.get(f"{FRUIT}/examples?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_relabelling_settles_a_conflict_and_may_be_asked_twice(fruit):
    (held,) = walked(fruit, f"{FRUIT}/examples", state="conflict")
    for _ in range(2):
        answer = fruit.patch(f"{FRUIT}/examples/{held['id']}", json={"label": "plum"})
        assert answer.status_code == 200
        body = answer.json()
        assert (body["label"], body["state"], body["settled_labels"]) == ("plum", "active", ["apple"])
        assert (body.pop("new_class"), body.pop("close")) == (False, [])
    assert fruit.get(f"{FRUIT}/examples/{held['id']}").json() == body
    made = fruit.patch(f"{FRUIT}/examples/{held['id']}", json={"label": "plumb"}).json()
    assert (made["label"], made["new_class"], made["close"]) == ("plumb", True, ["plum"])
    body = {"example": held["id"], "decision": "relabel", "label": "plums"}
    decided = fruit.post(f"{FRUIT}/hygiene/decisions", json=body).json()
    assert (decided["label"], decided["new_class"]) == ("plums", True)
    assert "plum" in decided["close"]
    fruit.patch(f"{FRUIT}/examples/{held['id']}", json={"label": "plum"})
    for wrong in ({"label": ""}, {"label": "x" * 201}, {}, {"label": "a", "more": 1}, {"label": "a\x00b"}):
        assert fruit.patch(f"{FRUIT}/examples/{held['id']}", json=wrong).status_code == 422


def test_dropping_is_for_good(fruit, context):
    one = walked(fruit, f"{FRUIT}/examples", label="lime")[0]
    assert fruit.get(one["links"]["thumbnail"]).status_code == 200
    assert fruit.delete(f"{FRUIT}/examples/{one['id']}").status_code == 204
    for path in ("", "/image", "/thumbnail"):
        answer = fruit.get(f"{FRUIT}/examples/{one['id']}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "ExampleNotFound")
    assert fruit.delete(f"{FRUIT}/examples/{one['id']}").status_code == 404
    assert not [key for key in context.blobs.keys("acme/") if one["content_hash"] in key]


def test_several_are_dropped_or_none(fruit):
    rows = walked(fruit, f"{FRUIT}/examples")
    ids = [one["id"] for one in rows[:3]]
    answer = fruit.post(f"{FRUIT}/examples:delete", json={"ids": [*ids, "none", "neither"]})
    assert answer.status_code == 404
    assert answer.json()["examples"] == ["none", "neither"]
    assert walked(fruit, f"{FRUIT}/examples") == rows
    answer = fruit.post(f"{FRUIT}/examples:delete", json={"ids": [*ids, ids[0]]})
    assert (answer.status_code, answer.json()) == (200, {"dropped": ids})
    assert walked(fruit, f"{FRUIT}/examples") == rows[3:]
    for wrong in ({"ids": []}, {"ids": ["x"] * 1001}, {"ids": ["x" * 65]}, {}):
        assert fruit.post(f"{FRUIT}/examples:delete", json=wrong).status_code == 422


def test_several_stay_out_where_that_is_asked(fruit, context, tmp_path):
    kept_out, deleted = [one["id"] for one in walked(fruit, f"{FRUIT}/examples", label="lime")[:2]]
    for ids, remember in (([kept_out], True), ([deleted], False)):
        answer = fruit.post(f"{FRUIT}/examples:delete", json={"ids": ids, "remember": remember})
        assert answer.status_code == 200
    report = ingest(context, "acme", "fruit", tmp_path / "fruit").result
    assert (report["stored"], report["skipped"]) == (1, 1)
    assert [one["id"] for one in report["left_out"]] == [kept_out]


def test_a_picture_comes_back_as_it_was_handed_over(fruit, tmp_path):
    one = walked(fruit, f"{FRUIT}/examples", label="lime")[0]
    answer = fruit.get(one["links"]["image"])
    assert answer.content == (tmp_path / "fruit" / one["source"]).read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f"inline; filename*=UTF-8''{one['source'].split('/')[-1]}"
    assert answer.headers["cache-control"] == "private, no-cache"
    tag = answer.headers["etag"]
    assert tag == f'"{one["content_hash"]}"'
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = fruit.get(one["links"]["image"], headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert fruit.get(one["links"]["image"], headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_the_bytes_say_what_they_are(acme, context, tmp_path, kind):
    folder = tmp_path / "odd" / "a b"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a secret place"
    Image.new("RGB", (600, 300), "red").save(folder / "Äpfel 1.png", kind, exif=exif)
    ingest(context, "acme", "fruit", tmp_path / "odd")
    (one,) = walked(acme, f"{FRUIT}/examples")
    answer = acme.get(one["links"]["image"])
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    assert "%C3%84pfel%201.png" in answer.headers["content-disposition"]
    small = acme.get(one["links"]["thumbnail"], params={"edge_px": 60})
    with Image.open(io.BytesIO(small.content)) as opened:
        assert (opened.size, opened.format) == ((32, 64), "JPEG"), "upright, the next larger edge"
        assert not opened.getexif()
    assert b"secret" not in small.content


def test_a_thumbnail_is_made_once_and_kept(fruit, context, monkeypatch):
    one = walked(fruit, f"{FRUIT}/examples", label="lime")[0]
    answer = fruit.get(one["links"]["thumbnail"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert "private" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.content)) as opened:
        assert max(opened.size) == 48, "never larger than the picture"
    assert context.blobs.get(thumbnail_key("acme", 160, one["content_hash"])) == answer.content
    context.blobs.delete([image_key("acme", one["content_hash"])])
    assert fruit.get(one["links"]["thumbnail"]).content == answer.content
    again = fruit.get(one["links"]["thumbnail"], headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    gone = fruit.get(one["links"]["thumbnail"], params={"edge_px": 32})
    assert (gone.status_code, gone.json()["code"]) == (404, "NotFound")
    assert "holotype" not in gone.text.replace("urn:holotype", ""), "no path of the server"
    for wrong in (31, 513, "x"):
        assert fruit.get(one["links"]["thumbnail"], params={"edge_px": wrong}).status_code == 422


def test_deleting_the_catalogue_forgets_its_thumbnails(fruit, context):
    for one in walked(fruit, f"{FRUIT}/examples"):
        for edge_px in THUMBNAIL_EDGES_PX[:2]:
            assert fruit.get(one["links"]["thumbnail"], params={"edge_px": edge_px}).status_code == 200
    assert len(context.blobs.keys("acme/thumbnails/")) == 36
    assert fruit.delete(FRUIT).status_code == 204
    assert context.blobs.keys("acme/") == []


def test_what_is_no_picture_any_more_is_not_shown(fruit, context):
    one = walked(fruit, f"{FRUIT}/examples", label="lime")[0]
    context.blobs.put(image_key("acme", one["content_hash"]), b"<script>alert(1)</script>")
    for path in ("image", "thumbnail"):
        assert fruit.get(one["links"][path]).status_code == 404


def test_another_tenant_sees_nothing_of_it(fruit, rival):
    one = walked(fruit, f"{FRUIT}/examples", label="lime")[0]
    theirs = f"{FRUIT}/examples/{one['id']}"
    unknown = f"{FRUIT}/examples/00000000-0000-0000-0000-000000000000"
    for path in ("", "/image", "/thumbnail"):
        got, never = rival.get(theirs + path), rival.get(unknown + path)
        assert got.status_code == never.status_code == 404
        assert got.json()["detail"].replace(one["id"], "") == never.json()["detail"].replace(unknown[-36:], "")
    assert rival.patch(theirs, json={"label": "pear"}).status_code == 404
    assert rival.delete(theirs).status_code == 404
    assert rival.post(f"{FRUIT}/examples:delete", json={"ids": [one["id"]]}).status_code == 404
    assert len(walked(rival, f"{FRUIT}/examples")) == 1
    assert fruit.get(theirs.replace("fruit", "nuts")).status_code == 404
    assert fruit.get(theirs).json() == one


def test_reading_does_not_write(fruit, api):
    reader = api.as_tenant("acme", (Scope.READ,))
    one = walked(reader, f"{FRUIT}/examples")[0]
    path = f"{FRUIT}/examples/{one['id']}"
    assert reader.patch(path, json={"label": "pear"}).status_code == 403
    assert reader.delete(path).status_code == 403
    assert reader.post(f"{FRUIT}/examples:delete", json={"ids": [one["id"]]}).status_code == 403
    writer = api.as_tenant("acme", (Scope.WRITE,))
    assert writer.get(f"{path}/image").status_code == 403
