"""Two colours in one picture, two boxes, two labels: crops from the manifest to the answer, on the parts people run."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from service.core.crop import hash_and_crop
from service.errors import InvalidInput
from service.records import ExampleState, Split
from service.usecases.classify import classify
from service.usecases.context import (
    THUMBNAIL_EDGES_PX,
    embedding_key,
    example_id_of,
    image_key,
    partition_of,
    thumbnail_key,
)
from service.usecases.crops import wanted_of
from service.usecases.decide import drop, relabel
from service.usecases.holdings import load_holdings
from service.usecases.hygiene import survey_hygiene
from service.usecases.pictures import thumbnail
from tests.fakes import fake_context, ingested, write_pictures
from tests.usecases.archives import archived, imported, unpacked
from tests.usecases.test_ingest_real_parts import opened

RED, BLUE, GREEN = (200, 10, 20), (10, 20, 200), (20, 200, 10)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def plain(colour, width=40, height=40):
    return np.broadcast_to(np.array(colour), (height, width, 3))


def halves(left=RED, right=BLUE, height=40):
    return np.concatenate([plain(left, 30, height), plain(right, 30, height)], axis=1)


def mask_of(box, size=(60, 40)):
    x, y, width, height = box
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    mask[y : y + height, x : x + width] = 1
    return png(mask)


def manifest(folder, *rows, columns="path,label,box,mask,keep_aspect,split"):
    path = folder / "list.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def unit(colour):
    row = np.array([*np.tile(np.array(colour) / 255, 16), 1])
    return row / np.linalg.norm(row)


def examples_of(context, name="fruit"):
    return {one.crop: one for one in context.registry.examples(context.registry.catalogue("acme", name).id)}


@pytest.fixture
def context(tmp_path):
    with opened(tmp_path) as context:
        yield context


@pytest.fixture
def folder(tmp_path):
    return write_pictures(tmp_path / "pictures", {"both.png": png(halves())})


def test_two_boxes_of_one_picture_are_two_examples_with_their_own_colours(context, folder):
    rows = ['both.png,red,"0,0,30,40",,,support', 'both.png,blue,"30,0,30,40",,,support']
    report = ingested(context, manifest(folder, *rows), encoder="pixel")
    assert (report["stored"], report["conflict"], report["failed"]) == (2, 0, 0)
    catalogue, found = context.registry.catalogue("acme", "fruit"), examples_of(context)
    content_hash = hashlib.sha256(png(halves())).hexdigest()
    for crop, label, colour in (("0,0,30,40", "red", RED), ("30,0,30,40", "blue", BLUE)):
        one = found[crop]
        assert (one.label, one.content_hash, one.width_px, one.height_px) == (label, content_hash, 30, 40)
        assert one.id == example_id_of(catalogue, content_hash, crop)
        (answer,) = classify(context, "acme", "fruit", [("query", png(plain(colour)))])
        assert answer.prediction.label == label
        assert answer.prediction.neighbours[0].similarity == pytest.approx(1, abs=1e-6)
        other = answer.prediction.top[1].score
        assert other == pytest.approx(unit(RED) @ unit(BLUE), abs=1e-5)


def test_the_same_box_again_is_a_duplicate_and_under_another_label_a_conflict(context, folder):
    rows = ['both.png,red,"0,0,30,40",,,support', 'both.png,blue,"30,0,30,40",,,support']
    ingested(context, manifest(folder, *rows), encoder="pixel")
    report = ingested(context, manifest(folder, *rows, 'both.png,red,"0.0 0.2 30 39.7",,,'))
    assert (report["stored"], report["duplicate"], report["conflict"]) == (0, 3, 0)
    report = ingested(context, manifest(folder, 'both.png,green,"0,0,30,40",,,', "both.png,both,,,,support"))
    assert (report["stored"], report["conflict"]) == (1, 1)
    found = examples_of(context)
    assert found["0,0,30,40"].state is ExampleState.CONFLICT
    assert {found[crop].state for crop in ("30,0,30,40", "")} == {ExampleState.ACTIVE}
    (listed,) = report["conflicts"]
    assert (listed["id"], listed["labels"]) == (found["0,0,30,40"].id, ["green", "red"])
    relabel(context, "acme", "fruit", found["0,0,30,40"].id, "red")
    assert examples_of(context)["0,0,30,40"].state is ExampleState.ACTIVE


def test_a_mask_gives_the_box_around_what_it_shows(context, folder):
    write_pictures(folder, {"masks/left.png": mask_of((0, 0, 30, 40)), "masks/right.png": mask_of((35, 5, 20, 10))})
    rows = ["both.png,red,,masks/left.png,,support", "both.png,blue,,masks/right.png,yes,support"]
    report = ingested(context, manifest(folder, *rows), encoder="pixel")
    assert (report["stored"], report["failed"]) == (2, 0), report
    assert {crop: one.label for crop, one in examples_of(context).items()} == {
        "0,0,30,40": "red",
        "35,5,20,10,pad": "blue",
    }


def test_an_aspect_that_is_kept_gets_a_border(context, folder):
    rows = ['both.png,wide,"0,0,20,10",,,support', 'both.png,padded,"0,0,20,10",,yes,support']
    ingested(context, manifest(folder, *rows), encoder="pixel")
    found = examples_of(context)
    bordered = np.zeros((20, 20, 3))
    bordered[5:15] = RED
    for crop, picture in (("0,0,20,10", plain(RED)), ("0,0,20,10,pad", bordered)):
        (answer,) = classify(context, "acme", "fruit", [("query", png(picture))])
        assert answer.prediction.neighbours[0].example_id == found[crop].id
        assert answer.prediction.neighbours[0].similarity == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_cropped_fails_alone_with_its_numbers(context, folder):
    write_pictures(
        folder,
        {
            "black.png": png(np.zeros((40, 60, 3))),
            "small.png": mask_of((0, 0, 5, 5), (20, 10)),
            "text.png": b"no picture",
        },
    )
    wrong = {
        'both.png,red,"31,0,30,40",,,': "reaches to 61,40, and the picture is 60 x 40 pixels",
        'both.png,red,"0,0,nan,4",,,': "'nan' where a number of pixels",
        'both.png,red,"0,0,0.5,0.5",,,': "at least 1 pixel is needed",
        'both.png,red,"1,2,3",,,': "has 3 numbers",
        "both.png,red,,black.png,,": "the mask (60 x 40 pixels) is all black",
        "both.png,red,,small.png,,": "its mask is 20 x 10 pixels and the picture 60 x 40",
        "both.png,red,,text.png,,": "its mask cannot be used",
        "both.png,red,,nowhere.png,,": "its mask 'nowhere.png' cannot be used: there is no such file",
        'both.png,red,"0,0,3,4",black.png,,': "names a box and a mask",
        "both.png,red,,,yes,": "keep_aspect is for crops",
        'both.png,red,"0,0,3,4",,maybe,': "keep_aspect is 'maybe'; yes or no is needed",
    }
    good = 'both.png,red,"30,0,30,40",,,'
    report = ingested(context, manifest(folder, *wrong, good), encoder="pixel")
    assert (report["stored"], report["failed"]) == (1, len(wrong))
    reasons = [one["reason"] for one in report["errors"]]
    assert all(any(told in reason for reason in reasons) for told in wrong.values()), reasons


@pytest.mark.parametrize(
    ("fields", "crop", "mask", "keep"),
    [
        ({}, "", "", False),
        ({"box": None, "mask": "", "keep_aspect": False}, "", "", False),
        ({"box": [1, 2, 3, 4], "keep_aspect": True}, "1,2,3,4,pad", "", False),
        ({"box": "1 2 3 4", "keep_aspect": "no"}, "1,2,3,4", "", False),
        ({"mask": " a.png ", "keep_aspect": "YES"}, "", "a.png", True),
    ],
)
def test_what_a_line_may_say(fields, crop, mask, keep):
    wanted = wanted_of(fields)
    assert (wanted.crop, wanted.mask, wanted.keep_aspect) == (crop, mask, keep)


@pytest.mark.parametrize(
    "fields", [{"box": 7}, {"box": {"x": 1}}, {"box": [1, 2, "x", 4]}, {"mask": 7}, {"mask": "\0"}]
)
def test_what_a_line_may_not_say(fields):
    with pytest.raises(InvalidInput):
        wanted_of(fields)


def test_json_lines_give_boxes_as_lists(context, folder):
    lines = [{"path": "both.png", "label": "red", "box": [0, 0, 30, 40], "split": "support", "lot": "7"}]
    (folder / "list.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert ingested(context, folder / "list.jsonl", encoder="pixel")["stored"] == 1
    (one,) = examples_of(context).values()
    assert (one.crop, one.metadata) == ("0,0,30,40", {"lot": "7"})


def test_what_is_stored_of_a_crop_goes_with_it_and_the_picture_with_the_last(context, folder):
    rows = ['both.png,red,"0,0,30,40",,,support', 'both.png,blue,"30,0,30,40",,,support']
    ingested(context, manifest(folder, *rows), encoder="pixel")
    catalogue = context.registry.catalogue("acme", "fruit")
    digest, found = catalogue.fingerprint.digest, examples_of(context)
    shown = {}
    for crop, one in found.items():
        small = thumbnail(context, "acme", "fruit", one.id, 32, lambda _tag: False)
        with Image.open(io.BytesIO(small.data)) as image:
            shown[crop] = (image.size, np.asarray(image).mean(axis=(0, 1)))
    assert shown["0,0,30,40"][0] == (24, 32)
    np.testing.assert_allclose(shown["0,0,30,40"][1], RED, atol=4)
    np.testing.assert_allclose(shown["30,0,30,40"][1], BLUE, atol=4)

    def kept(one):
        keys = [embedding_key("acme", digest, one.picture), thumbnail_key("acme", THUMBNAIL_EDGES_PX[0], one.picture)]
        return [context.blobs.exists(key) for key in keys]

    red, blue = found["0,0,30,40"], found["30,0,30,40"]
    assert kept(red) == kept(blue) == [True, True]
    drop(context, "acme", "fruit", [red.id])
    assert (kept(red), kept(blue)) == ([False, False], [True, True])
    assert context.blobs.exists(image_key("acme", red.content_hash))
    assert classify(context, "acme", "fruit", [("query", png(plain(RED)))])[0].prediction.label == "blue"
    drop(context, "acme", "fruit", [blue.id])
    assert context.blobs.keys("acme/") == []


def test_a_lost_point_of_a_crop_comes_back_as_it_was(context, folder):
    path = manifest(folder, 'both.png,red,"0,0,30,40",,,support', 'both.png,blue,"30,0,30,40",,yes,support')
    ingested(context, path, encoder="pixel")
    catalogue = context.registry.catalogue("acme", "fruit")
    partition, ids = partition_of(catalogue), [one.id for one in examples_of(context).values()]
    before = context.store.fetch(partition, ids)
    context.store.delete(partition, ids)
    for one in examples_of(context).values():
        context.blobs.delete([embedding_key("acme", catalogue.fingerprint.digest, one.picture)])
    assert ingested(context, path)["duplicate"] == 2
    after = context.store.fetch(partition, ids)
    assert after.ids == before.ids
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
    assert [one["crop"] for one in after.payloads] == [
        hash_and_crop(one.picture)[1] for one in examples_of(context).values()
    ]


def test_crops_of_one_picture_lie_in_one_split_and_are_no_duplicates(context, tmp_path):
    rng = np.random.default_rng(3)
    pictures, rows = {}, []
    for number in range(12):
        pixels = np.repeat(np.repeat(rng.integers(0, 256, (8, 16, 3)), 8, axis=0), 8, axis=1)
        pictures[f"{number}.png"] = png(pixels)
        rows += [f'{number}.png,{"even" if number % 2 else "odd"},"{x},0,64,64",,,' for x in (0, 64)]
    folder = write_pictures(tmp_path / "many", pictures)
    assert ingested(context, manifest(folder, *rows), encoder="pixel")["stored"] == 24
    every = context.registry.examples(context.registry.catalogue("acme", "fruit").id)
    splits = {}
    for one in every:
        splits.setdefault(one.content_hash, set()).add(one.split)
    assert [len(found) for found in splits.values()] == [1] * 12
    assert {split for found in splits.values() for split in found} == {Split.SUPPORT, Split.TUNING, Split.HOLDOUT}
    holdings = load_holdings(context, context.registry.catalogue("acme", "fruit"))
    assert len(np.unique(holdings.support.groups)) == len(holdings.support) // 2
    assert holdings.straddling == 0
    told = survey_hygiene(context, "acme", "fruit", lambda *_: None)
    assert [one.kind.value for one in told.findings if one.kind.value in ("duplicate", "leak", "blank")] == []


def test_hygiene_looks_at_the_crop(context, tmp_path):
    rng = np.random.default_rng(5)
    busy = rng.integers(0, 256, (80, 160, 3))
    busy[:, 80:] = GREEN
    folder = write_pictures(tmp_path / "busy", {"a.png": png(busy)})
    rows = ['a.png,left,"0,0,80,80",,,support', 'a.png,right,"80,0,80,80",,,support', 'a.png,tiny,"3,3,9,9",,,support']
    ingested(context, manifest(folder, *rows), encoder="pixel")
    found = examples_of(context)
    told = {
        (one.kind.value, one.example.id)
        for one in survey_hygiene(context, "acme", "fruit", lambda *_: None).findings
        if one.example
    }
    assert ("blank", found["80,0,80,80"].id) in told
    assert ("blank", found["0,0,80,80"].id) not in told
    assert ("small", found["3,3,9,9"].id) in told
    assert ("small", found["0,0,80,80"].id) not in told


def test_an_archive_brings_crops_along_and_their_picture_once(context, folder):
    rows = ['both.png,red,"0,0,30,40",,,support', 'both.png,blue,"30,0,30,40",,,support', "both.png,both,,,,support"]
    ingested(context, manifest(folder, *rows), encoder="pixel")
    data = archived(context)
    assert len([name for name in unpacked(data) if name.startswith("images/")]) == 1
    other = fake_context(
        decoder=context.decoder,
        encoders=context.encoders,
    )
    imported(other, data, "fruit")
    ours, theirs = examples_of(context), examples_of(other)
    assert {crop: one.label for crop, one in theirs.items()} == {crop: one.label for crop, one in ours.items()}
    copy = other.registry.catalogue("acme", "fruit")
    assert {one.id for one in theirs.values()} == {
        example_id_of(copy, one.content_hash, one.crop) for one in ours.values()
    }
    assert classify(other, "acme", "fruit", [("query", png(plain(RED)))])[0].prediction.label == "red"
