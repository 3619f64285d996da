"""Pictures by URL over HTTP: off until it is switched on; fetched by the workers, answered or stored."""

from __future__ import annotations

import pytest

from service.adapters.public_address import PinnedUrl, checked_url
from service.adapters.url_fetch import UrlFetcher
from service.api.app import create_app
from service.bootstrap import open_context
from tests.adapters.test_url_fetch import Server, ok
from tests.api.conftest import Api
from tests.api.test_bulk_classify import results
from tests.api.test_ingests import APPLE, PEAR, finished, picture
from workers.embedded import embedded_workers


@pytest.fixture
def server():
    started = Server()
    yield started
    started.close()


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"url_ingest": True})


@pytest.fixture
def context(settings, server, monkeypatch):
    """The real parts, whose fetcher lets `pictures.test` in: that is the server on this machine."""

    def pin(url: str) -> PinnedUrl:
        own = checked_url(url).copy_with(scheme="http", host="127.0.0.1", port=server.port)
        return PinnedUrl(url=str(own), host="pictures.test", server_name="pictures.test")

    monkeypatch.setattr("service.bootstrap._fetcher", lambda _settings: UrlFetcher(pin))
    with open_context(settings) as opened, embedded_workers(opened, settings):
        yield opened


@pytest.fixture
def shop(acme):
    assert acme.post("/v1/catalogues", json={"name": "fruit"}).status_code == 201
    return acme


def offered(server: Server) -> list[dict]:
    """Items for pictures that the server has."""
    items = []
    for row, (label, colour) in enumerate({"apple": APPLE, "pear": PEAR}.items()):
        for number in range(3):
            server.paths[f"/{label}/{number}.png"] = ok(picture(colour, 40 * row + number))
            items.append({"url": f"https://pictures.test/{label}/{number}.png", "label": label})
    return items


def start(client, body):
    return client.post("/v1/catalogues/fruit/ingests", json=body)


def test_pictures_are_fetched_and_stored(api: Api, shop, server):
    items = offered(server)
    items[0]["metadata"] = {"lot": "17"}
    bad = [
        {"url": "https://pictures.test/missing.png", "label": "pear"},
        {"url": "http://pictures.test/a.png", "label": "pear"},
        {"url": "https://pictures.test/apple/0.png"},
    ]
    server.paths["/missing.png"] = lambda connection, _: connection.sendall(b"HTTP/1.1 404 No\r\n\r\n")
    answer = start(shop, {"items": items + bad})
    assert answer.status_code == 202, answer.text
    done = finished(shop, answer.json())
    assert (done["result"]["stored"], done["result"]["failed"]) == (6, 3)
    reasons = {one["path"]: one["reason"] for one in done["result"]["errors"]}
    assert "404" in reasons["https://pictures.test/missing.png"]
    assert "https" in reasons["http://pictures.test/a.png"]
    assert "label is empty" in reasons["https://pictures.test/apple/0.png"]
    catalogue = api.context.registry.catalogue("acme", "fruit")
    kept = {one.source: dict(one.metadata) for one in api.context.registry.examples(catalogue.id)}
    assert kept["https://pictures.test/apple/0.png"] == {"lot": "17"}


def test_pictures_are_fetched_and_answered(api: Api, shop, server):
    items = offered(server)
    finished(shop, start(shop, {"items": items, "split": "support"}).json())
    urls = [{"url": item["url"]} for item in items]
    opened = start(shop, {"items": urls[:3], "purpose": "classify", "open": True}).json()
    assert shop.post(f"/v1/jobs/{opened['id']}/pictures", json={"items": urls}).json()["total"] == 6
    shop.post(f"/v1/jobs/{opened['id']}:seal")
    finished(shop, opened)
    assert [(line["path"], line["label"]) for line in results(shop, opened)] == [
        (item["url"], item["label"]) for item in items
    ]
    assert api.context.blobs.keys("acme/uploads/") == []


@pytest.mark.parametrize(
    "body",
    [
        {"items": [{"url": "https://pictures.test/a.png", "label": "apple"}], "purpose": "classify"},
        {"items": [{"url": "https://pictures.test/a.png", "label": "apple", "more": 1}]},
        {"items": [{"label": "apple"}]},
        {"items": [{"url": "x" * 3000, "label": "apple"}]},
        {"items": [{"url": "https://pictures.test/a.png", "metadata": {str(n): "x" for n in range(17)}}]},
        {"items": []},
        [],
    ],
)
def test_bodies_that_make_no_sense_are_told(shop, body):
    assert start(shop, body).status_code == 422


def test_switched_off_it_is_refused_with_the_setting_to_change(tmp_path, settings, monkeypatch):
    monkeypatch.undo()
    plain = settings.model_copy(update={"url_ingest": False, "data_dir": tmp_path / "other"})
    with open_context(plain) as context:
        app = create_app(context, plain)
        from fastapi.testclient import TestClient

        with TestClient(app, raise_server_exceptions=False) as client:
            api = Api(context, plain, client)
            context.registry.ensure_tenant("acme")
            acme = api.as_tenant("acme")
            acme.post("/v1/catalogues", json={"name": "fruit"})
            answer = start(acme, {"items": [{"url": "https://pictures.test/a.png", "label": "apple"}]})
    assert (answer.status_code, answer.json()["setting"]) == (403, "HOLOTYPE_URL_INGEST")
