"""Words that classes start from, over HTTP, with a CLIP of random weights through the real loading path."""

import io

import numpy as np
import pytest
from PIL import Image

from service.records import Scope
from service.settings import Settings
from tests.adapters import networks
from tests.api.test_ingests import finished, ingest

TEMPLATES = ["a {label}", "one {label}"]
OTHER = "red/light ä"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(networks.write_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def settings(tmp_path, clip):
    return Settings(data_dir=tmp_path / "data", encoder="pixel", encoders=f"{clip},pixel", sweep_interval_s=0.5)


@pytest.fixture
def shop(acme, clip):
    assert acme.post("/v1/catalogues", json={"name": "fruit", "encoder": clip}).status_code == 201
    return acme


def png(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def put(client, label, **body):
    return client.put(f"/v1/catalogues/fruit/prompts/{label}", json=body)


def classified(client, data, **fields):
    answer = client.post("/v1/catalogues/fruit:classify", files=[("pictures", ("x.png", data))], data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"][0]


def test_prompts_are_put_shown_listed_and_deleted(shop):
    answer = put(shop, "apple", templates=TEMPLATES)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["label"], answer.json()["templates"]) == ("apple", TEMPLATES)
    assert put(shop, OTHER).json()["templates"]
    assert shop.get("/v1/catalogues/fruit/prompts/apple").json() == answer.json()
    assert shop.get(f"/v1/catalogues/fruit/prompts/{OTHER}").json()["label"] == OTHER
    first = shop.get("/v1/catalogues/fruit/prompts", params={"limit": 1}).json()
    second = shop.get("/v1/catalogues/fruit/prompts", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [one["label"] for one in first["items"] + second["items"]] == ["apple", OTHER]
    assert second["next_cursor"] is None
    assert shop.delete("/v1/catalogues/fruit/prompts/apple").status_code == 204
    gone = shop.delete("/v1/catalogues/fruit/prompts/apple")
    assert (gone.status_code, gone.json()["code"]) == (404, "NotFound")
    assert shop.get("/v1/catalogues/fruit/prompts/apple").status_code == 404


def test_a_class_of_words_is_answered_and_says_so_until_pictures_come(shop, api, clip):
    for label in ("apple", "pear"):
        put(shop, label, templates=TEMPLATES)
    query = png(1)
    one = classified(shop, query)
    encoder = api.context.encoders.load(clip)
    picture = encoder.encode([encoder.preprocess(api.context.decoder.decode(query, 32).pixels)])[0]
    expected = {}
    for label in ("apple", "pear"):
        mean = encoder.encode_text([f"a {label}", f"one {label}"]).mean(axis=0)
        similarity = picture @ mean / np.linalg.norm(mean)
        expected[label] = 0.75 + 0.10 * (similarity - 0.25) / 0.06
    assert {each["label"]: each["score"] for each in one["top"]} == pytest.approx(expected, abs=1e-3)
    assert one["neighbours"] == []
    assert f"words: {one['label']} stands on words alone, no picture answers for it" in one["notes"]
    pictures = {
        f"{label}/{n}.png": png(100 * row + n) for row, label in enumerate(("apple", "pear")) for n in range(20)
    }
    assert finished(shop, ingest(shop, pictures, split="support").json())["state"] == "done"
    one = classified(shop, png(100))  # a pear's own picture
    assert one["label"] == "pear"
    assert one["top"][0]["score"] == pytest.approx(1, abs=0.2)
    words = classified(shop, png(100))["top"][0]["score"] - 20 / 21
    assert abs(words) < 0.2
    assert not any("words" in note for note in one["notes"])


def test_what_cannot_be_described_says_so(shop, acme):
    acme.post("/v1/catalogues", json={"name": "silent", "encoder": "pixel"})
    refused = acme.put("/v1/catalogues/silent/prompts/apple", json={})
    assert (refused.status_code, refused.json()["code"]) == (422, "InvalidInput")
    assert "knows pictures only" in refused.json()["detail"]
    assert put(shop, "apple", templates=["  "]).status_code == 422
    assert put(shop, "apple", templates=["x" * 501]).status_code == 422
    assert put(shop, "apple", prompts=["x"]).status_code == 422
    assert shop.put("/v1/catalogues/nothing/prompts/apple", json={}).status_code == 404
    assert shop.get("/v1/catalogues/nothing/prompts").status_code == 404


def test_another_tenant_sees_no_words_and_readers_change_none(shop, api):
    put(shop, "apple", templates=TEMPLATES)
    other = api.as_tenant("globex")
    assert other.get("/v1/catalogues/fruit/prompts/apple").status_code == 404
    reader = api.as_tenant("acme", (Scope.READ,))
    assert reader.get("/v1/catalogues/fruit/prompts/apple").status_code == 200
    assert reader.put("/v1/catalogues/fruit/prompts/apple", json={}).status_code == 403
