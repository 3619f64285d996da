"""Parts of pictures over HTTP: boxes and masks of a manifest, and what is told of them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.api.test_ingests import finished, ingest, shop

__all__ = ["shop"]

RED, BLUE = (200, 10, 20), (10, 20, 200)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def halves():
    pixels = np.empty((40, 60, 3))
    pixels[:, :30], pixels[:, 30:] = RED, BLUE
    return png(pixels)


def mask():
    pixels = np.zeros((40, 60))
    pixels[:, 30:] = 255
    return png(pixels)


def manifest(*lines):
    return [("manifest", ("list.jsonl", "\n".join(json.dumps(line) for line in lines).encode()))]


def test_boxes_and_masks_of_a_manifest(shop):
    lines = [
        {"path": "x/both.png", "label": "red", "box": [0, 0, 30, 40], "split": "support"},
        {"path": "x/both.png", "label": "blue", "mask": "x/blue.png", "keep_aspect": True, "split": "support"},
        {"path": "x/both.png", "label": "far", "box": "50,0,30,40"},
        {"path": "x/both.png", "label": "lost", "mask": "x/lost.png"},
    ]
    answer = ingest(shop, {"x/both.png": halves(), "x/blue.png": mask()}, files=manifest(*lines))
    assert answer.status_code == 202, answer.text
    done = finished(shop, answer.json())
    assert (done["result"]["stored"], done["result"]["failed"]) == (2, 2), done
    items = {one["label"]: one for one in shop.get(done["links"]["items"]).json()["items"]}
    assert {label: one["crop"] for label, one in items.items()} == {
        "red": "0,0,30,40",
        "blue": "30,0,30,40,pad",
        "far": "50,0,30,40",
        "lost": "",
    }
    assert "reaches to 80,40, and the picture is 60 x 40" in items["far"]["reason"]
    assert "its mask 'x/lost.png' was not sent" in items["lost"]["reason"]
    examples = shop.get("/v1/catalogues/fruit/examples").json()["items"]
    assert {(one["label"], one["crop"], one["width_px"], one["height_px"]) for one in examples} == {
        ("red", "0,0,30,40", 30, 40),
        ("blue", "30,0,30,40,pad", 30, 40),
    }
    assert len({one["content_hash"] for one in examples}) == 1
    for one in examples:
        shown = shop.get(one["links"]["thumbnail"])
        assert one["content_hash"] in shown.headers["etag"]
        with Image.open(io.BytesIO(shown.content)) as image:
            colour = np.asarray(image).mean(axis=(0, 1))
        np.testing.assert_allclose(colour, RED if one["label"] == "red" else BLUE, atol=4)
    tags = {shop.get(one["links"]["thumbnail"]).headers["etag"] for one in examples}
    assert len(tags) == 2


def test_a_picture_that_is_listed_twice_under_two_labels_is_in_conflict(shop):
    lines = [{"path": "a.png", "label": label, "box": [0, 0, 30, 40]} for label in ("red", "blue")]
    done = finished(shop, ingest(shop, {"a.png": halves()}, files=manifest(*lines)).json())
    assert (done["result"]["stored"], done["result"]["conflict"]) == (0, 2), done["result"]


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, 3, 4, 5], "1,2,3,4", [1, 2, "x", 4]])
def test_a_url_s_box_has_four_numbers(shop, box):
    answer = shop.post(
        "/v1/catalogues/fruit/ingests",
        json={"items": [{"url": "https://pictures.example/1.jpg", "label": "red", "box": box}]},
    )
    assert answer.status_code == 422
