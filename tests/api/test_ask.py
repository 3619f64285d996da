"""Asking a catalogue of three colours: classify, verify, search, evaluate, preview; as the command line answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from service.records import Scope
from service.usecases.classify import classify
from service.usecases.context import partition_of
from service.usecases.evaluate import stored_evaluation
from tests.api.filled import COLOURS, picture
from tests.api.shop import Shop, opened_shop

PNG = "image/png"
FRUIT = "/v1/catalogues/fruit"


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    with opened_shop(tmp_path_factory.mktemp("shop"), fruit=14) as opened:
        yield opened


def new(label: str, number: int = 0) -> bytes:
    """A picture that the catalogue does not hold."""
    return picture(label, 500 + number)


def sent(*labels: str) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("pictures", (f"{label}-{n}.png", new(label, n), PNG)) for n, label in enumerate(labels)]


# ------------------------------------------------------------------------------------------------------------- classify


def test_pictures_are_answered_in_order_with_everything_that_stands_behind(shop):
    labels = ["plum", "apple", "lime", "apple"]
    answer = shop.acme.post(f"{FRUIT}:classify", files=sent(*labels), params={"top": 2})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [one["label"] for one in items] == labels
    assert [one["path"] for one in items] == ["plum-0.png", "apple-1.png", "lime-2.png", "apple-3.png"]
    catalogue = shop.catalogue()
    for one in items:
        assert one["selection"] == catalogue.active_selection
        assert one["encoder"] == {"specification": "pixel", "fingerprint": catalogue.fingerprint.digest}
        assert len(one["top"]) == 2
        assert one["top"][0]["label"] == one["label"]
        assert 0 < one["confidence"] <= 1
        assert one["margin"] == pytest.approx(one["top"][0]["score"] - one["top"][1]["score"])
        for neighbour in one["neighbours"]:
            assert neighbour["thumbnail"] == f"{FRUIT}/examples/{neighbour['id']}/thumbnail"
    first = items[0]["neighbours"][0]
    assert first["source"].endswith(".png")
    assert shop.acme.get(first["thumbnail"]).headers["content-type"] == "image/jpeg"


def test_the_answers_are_those_of_the_use_case(shop):
    files = sent("apple", "lime")
    expected = classify(shop.context, "acme", "fruit", [(name, data) for _, (name, data, _) in files], top=3)
    items = shop.acme.post(f"{FRUIT}:classify", files=files, data={"top": "3"}).json()["items"]
    for item, one in zip(items, expected, strict=True):
        for neighbour in item["neighbours"]:
            neighbour.pop("thumbnail")
        assert item == json.loads(json.dumps(one.as_dict()))


def test_one_picture_may_be_the_whole_body(shop):
    answer = shop.acme.post(f"{FRUIT}:classify?top=1", content=new("lime"), headers={"Content-Type": PNG})
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["items"]
    assert (item["label"], item["path"], len(item["top"])) == ("lime", "picture", 1)


def test_what_cannot_be_used_says_why_and_harms_no_other(shop):
    files = [
        *sent("apple"),
        ("pictures", ("notes.txt", b"no picture", "text/plain")),
        ("pictures", ("e.png", b"", PNG)),
    ]
    answer = shop.acme.post(f"{FRUIT}:classify", files=files)
    assert answer.status_code == 200
    apple, text, empty = answer.json()["items"]
    assert apple["label"] == "apple"
    assert set(text) == set(empty) == {"path", "error"}
    assert (text["path"], empty["path"]) == ("notes.txt", "e.png")
    assert text["error"]
    assert "empty" in empty["error"]
    broken = shop.acme.post(f"{FRUIT}:classify", files=files[1:])
    assert broken.status_code == 200
    assert broken.json()["items"] == [text, empty]


def test_answers_that_are_not_trusted_enough_are_rejected_or_it_is_said_why_not(shop):
    refused = shop.acme.post("/v1/catalogues/raw:classify", files=sent("apple"), params={"max_error": 0.1})
    assert refused.status_code == 422
    assert "never optimised" in refused.json()["detail"]
    for value in ("0", "1", "-1", "nan", "many"):
        assert shop.acme.post(f"{FRUIT}:classify", files=sent("apple"), params={"max_error": value}).status_code == 422


def test_without_a_selection_all_support_answers_and_says_so(shop):
    (item,) = shop.acme.post("/v1/catalogues/raw:classify", files=sent("plum")).json()["items"]
    assert item["label"] == "plum"
    assert item["selection"] is None
    assert "no optimisation yet" in item["notes"][0]


# --------------------------------------------------------------------------------------------------------------- verify


def test_two_pictures_are_of_one_class_or_not(shop):
    same = shop.acme.post(f"{FRUIT}:verify", files=sent("plum", "plum"))
    assert same.status_code == 200, same.text
    assert same.json()["same"] is True
    other = shop.acme.post(f"{FRUIT}:verify", files=sent("plum", "lime"), data={"rule": "eer"}).json()
    assert (other["same"], other["rule"]) == (False, "eer")
    assert other["similarity"] < other["threshold"] <= same.json()["similarity"]
    assert other["selection"] == shop.catalogue().active_selection


def test_one_picture_is_of_a_given_class_or_not(shop):
    for label in COLOURS:
        answer = shop.acme.post(f"{FRUIT}:verify", files=sent("lime"), data={"label": label}).json()
        assert answer["same"] is (label == "lime")
    unknown = shop.acme.post(f"{FRUIT}:verify", files=sent("lime"), data={"label": "durian"})
    assert unknown.status_code == 404
    assert "durian" in unknown.json()["detail"]


@pytest.mark.parametrize(
    ("labels", "fields"),
    [
        (["plum"], {}),
        (["plum", "plum"], {"label": "plum"}),
        (["plum", "plum", "plum"], {}),
        (["plum", "plum"], {"rule": "guess"}),
        (["plum"], {"label": ""}),
        (["plum"], {"label": "plum", "more": "1"}),
    ],
)
def test_what_cannot_be_verified_is_refused(shop, labels, fields):
    answer = shop.acme.post(f"{FRUIT}:verify", files=sent(*labels), data=fields)
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_broken_picture_cannot_be_verified(shop):
    files = [*sent("plum"), ("pictures", ("b.png", b"nothing", PNG))]
    answer = shop.acme.post(f"{FRUIT}:verify", files=files)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("b.png: ")
    unmeasured = shop.acme.post("/v1/catalogues/raw:verify", files=sent("plum", "plum"))
    assert unmeasured.status_code == 422
    assert "never optimised" in unmeasured.json()["detail"]


# --------------------------------------------------------------------------------------------------------------- search


def by_picture(shop: Shop, **fields: str):
    return shop.acme.post(f"{FRUIT}:search", files={"picture": ("q.png", new("lime"), PNG)}, data=fields)


def test_a_picture_finds_the_examples_that_resemble_it(shop):
    answer = by_picture(shop, top="5")
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [one["label"] for one in items] == ["lime"] * 5
    similarities = [one["similarity"] for one in items]
    assert similarities == sorted(similarities, reverse=True)
    assert {one["split"] for one in items} <= {"support", "tuning", "holdout"}
    assert items[0]["thumbnail"] == f"{FRUIT}/examples/{items[0]['id']}/thumbnail"
    narrowed = by_picture(shop, label="plum", split="holdout", top="50")
    found = narrowed.json()["items"]
    assert found
    assert {(one["label"], one["split"]) for one in found} == {("plum", "holdout")}


def test_metadata_narrows_the_search(shop):
    catalogue = shop.catalogue()
    everything = [one["id"] for one in by_picture(shop, top="1000").json()["items"]]
    marked = everything[2::7]
    told = {i: {"metadata": {"lot": "7", "shop": "north"}} for i in marked}
    shop.context.store.set_payload(partition_of(catalogue), told)
    found = by_picture(shop, metadata='{"lot": "7"}', top="1000").json()["items"]
    assert [one["id"] for one in found] == marked
    assert found[0]["metadata"] == {"lot": "7", "shop": "north"}
    assert by_picture(shop, metadata='{"lot": "7", "shop": "south"}').json()["items"] == []


@pytest.mark.parametrize(
    "metadata", ["{", "[]", '"lot"', '{"a b": "1"}', '{"lot": 1}', '{"lot": ""}', '{"lot": {"a": "b"}}', "[" * 5000]
)
def test_metadata_that_is_none_is_refused(shop, metadata):
    assert by_picture(shop, metadata=metadata).status_code == 422


def test_text_needs_an_encoder_that_knows_text(shop):
    answer = shop.acme.post(f"{FRUIT}:search", json={"text": "a ripe pear"})
    assert answer.status_code == 422
    assert "knows pictures only" in answer.json()["detail"]
    assert "CLIP" in answer.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "a", "top": 0}, {"text": "a", "x": 1}, [], "text", 7])
def test_a_search_for_nothing_is_refused(shop, body):
    answer = shop.acme.post(f"{FRUIT}:search", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_class_that_there_is_not_is_not_found_by_search_as_by_verify(shop):
    picture = ("q.png", new("lime"), PNG)
    searched = shop.acme.post(f"{FRUIT}:search", files={"picture": picture}, data={"label": "durian"})
    verified = shop.acme.post(f"{FRUIT}:verify", files={"pictures": picture}, data={"label": "durian"})
    assert [(one.status_code, one.json()["code"]) for one in (searched, verified)] == [(404, "LabelNotFound")] * 2


def test_one_thing_is_searched_with(shop):
    assert by_picture(shop, text="a lime").status_code == 422
    two = [("picture", ("a.png", new("lime"), PNG)), ("picture", ("b.png", new("lime"), PNG))]
    answer = shop.acme.post(f"{FRUIT}:search", files=two)
    assert answer.status_code == 422
    assert "more than 1 picture" in answer.json()["detail"]
    broken = shop.acme.post(f"{FRUIT}:search", files={"picture": ("q.png", b"nothing", PNG)})
    assert broken.status_code == 422
    assert "cannot be searched with" in broken.json()["detail"]


# ------------------------------------------------------------------------------------------------------------- evaluate


def test_stored_figures_are_those_of_what_serves(shop):
    answer = shop.acme.post(f"{FRUIT}:evaluate", json={})
    assert shop.acme.post(f"{FRUIT}:evaluate").json() == answer.json()
    assert answer.status_code == 200, answer.text
    stored = json.loads(json.dumps(stored_evaluation(shop.context, "acme", "fruit")))
    assert answer.json() == stored
    unoptimised = shop.acme.post("/v1/catalogues/raw:evaluate", json={})
    assert (unoptimised.status_code, unoptimised.json()["code"]) == (404, "SelectionNotFound")


@pytest.mark.parametrize("way", ["folders", "labels"])
def test_pictures_with_labels_are_judged(shop, way):
    labels = ["apple", "apple", "lime", "plum", "durian"]
    # The second apple is a plum by its looks, so it is answered wrongly.
    data = [new("apple", 20), new("plum", 21), new("lime", 22), new("plum", 23), new("apple", 24)]
    held = next(iter((shop.settings.data_dir.parent / "fruit" / "plum").iterdir())).read_bytes()
    labels, data = [*labels, "plum", "lime"], [*data, held, b"broken"]
    if way == "folders":
        named = [f"{label}/{n}.png" for n, label in enumerate(labels)]
        files = [("pictures", (name, one, PNG)) for name, one in zip(named, data, strict=True)]
        answer = shop.acme.post(f"{FRUIT}:evaluate", files=files)
    else:
        files = [("pictures", (f"{n}.png", one, PNG)) for n, one in enumerate(data)]
        answer = shop.acme.post(f"{FRUIT}:evaluate", files=files, data={"labels": labels})
    assert answer.status_code == 200, answer.text
    figures = answer.json()
    assert (figures["images"], figures["accuracy"]) == (4, 0.75)
    assert figures["skipped"] == {"unknown_label": 1, "already_stored": 1, "broken": 1}
    assert figures["selection"] == shop.catalogue().active_selection
    assert {"label": "apple", "predicted": "plum", "images": 1} in figures["confusion"]
    assert {"all", "holotype"} <= figures["panel"].keys()


def test_pictures_without_anything_to_judge_are_refused(shop):
    for files, data in (
        ([("pictures", ("1.png", new("apple"), PNG))], {}),
        ([("pictures", ("durian/1.png", new("apple"), PNG))], {}),
        (sent("apple", "plum"), {"labels": ["apple"]}),
    ):
        answer = shop.acme.post(f"{FRUIT}:evaluate", files=files, data=data)
        assert answer.status_code == 422
        assert answer.json()["detail"]


# -------------------------------------------------------------------------------------------------------------- preview


def test_a_new_class_is_previewed_and_nothing_is_stored(shop):
    before = shop.context.registry.example_counts(shop.catalogue().id)
    files = [("pictures", (f"{n}.png", new("apple", 40 + n), PNG)) for n in range(3)]
    answer = shop.acme.post(
        f"{FRUIT}:preview", files=[*files, ("pictures", ("b.png", b"", PNG))], data={"label": "rose"}
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["label"] == "rose"
    assert [one.get("label") for one in told["pictures"]] == ["apple"] * 3 + [None]
    assert told["pictures"][3]["error"]
    assert [one["stored"] for one in told["pictures"][:3]] == [None] * 3
    assert told["confused_with"][0]["label"] == "apple"
    assert told["confused_with"][0]["answers"] == 3
    assert shop.context.registry.example_counts(shop.catalogue().id) == before


@pytest.mark.parametrize("fields", [{}, {"label": ""}, {"label": "plum"}, {"label": "\x01"}, {"label": "x" * 201}])
def test_a_preview_of_what_is_no_new_class_is_refused(shop, fields):
    assert shop.acme.post(f"{FRUIT}:preview", files=sent("apple"), data=fields).status_code == 422


def test_an_empty_label_is_refused_in_plain_words(shop):
    for verb in ("preview", "verify"):
        answer = shop.acme.post(f"{FRUIT}:{verb}", files=sent("apple"), data={"label": ""})
        assert (answer.status_code, answer.json()["detail"]) == (
            422,
            "body.label is empty: at least one character is needed",
        )


# ------------------------------------------------------------------------------------------------------ tenants, scopes


@pytest.mark.parametrize("verb", ["classify", "verify", "search", "evaluate", "preview"])
def test_another_tenants_catalogue_is_not_there(shop, verb):
    stranger = shop.as_tenant("stranger", (Scope.READ,))
    part = "picture" if verb == "search" else "pictures"
    data = {"label": "new"} if verb in ("preview", "verify") else {}
    name = "apple/1.png"
    answer = stranger.post(f"/v1/catalogues/raw:{verb}", files={part: (name, new("apple"), PNG)}, data=data)
    assert (answer.status_code, answer.json()["code"]) == (404, "CatalogueNotFound")
    missing = stranger.post(f"/v1/catalogues/none:{verb}", files={part: (name, new("apple"), PNG)}, data=data)
    assert missing.json()["detail"].replace("none", "raw") == answer.json()["detail"]


def test_each_tenant_is_answered_by_its_own(shop):
    other = shop.as_tenant("other", (Scope.READ,))
    (item,) = other.post(f"{FRUIT}:classify", files=sent("lime")).json()["items"]
    assert item["label"] == "plum"
    assert "only one class is known: every picture gets it" in item["notes"]
    mine = {one.id for one in shop.context.registry.examples(shop.context.registry.catalogue("other", "fruit").id)}
    assert {one["id"] for one in item["neighbours"]} <= mine
    found = other.post(f"{FRUIT}:search", files={"picture": ("q.png", new("lime"), PNG)}).json()["items"]
    assert {one["id"] for one in found} <= mine


def test_asking_needs_the_scope_read(shop):
    writer = shop.as_tenant("acme", (Scope.WRITE,))
    answer = writer.post(f"{FRUIT}:classify", files=sent("lime"))
    assert (answer.status_code, answer.json()["needed"]) == (403, ["read"])
    reader = shop.as_tenant("acme", (Scope.READ,))
    assert reader.post(f"{FRUIT}:optimise", json={}).status_code == 403
