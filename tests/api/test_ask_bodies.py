"""What asks comes in: hostile bodies, clients that go away, many at once."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from service.adapters.encoder_pixel import PixelEncoder
from service.api.asking import MAX_BODY_BYTES
from tests.api.filled import COLOURS, picture
from tests.api.shop import Shop, opened_shop

CLASSIFY = "/v1/catalogues/fruit:classify"
PNG = "image/png"
FORM = {"Content-Type": "multipart/form-data; boundary=xx"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    with opened_shop(tmp_path_factory.mktemp("shop"), fruit=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def shopper(shop) -> TestClient:
    """A client of a catalogue of three colours, one picture each."""
    return shop.as_tenant("acme")


def part(name: str, data: bytes, filename: str | None = "a.png") -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--xx\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode("utf-8", "surrogateescape") + data + b"\r\n"


END = b"--xx--\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "status", "said"),
    [
        ({}, b"", 415, "of no type"),
        ({"Content-Type": "text/plain"}, b"hello", 415, "text/plain"),
        ({"Content-Type": "application/json"}, b"{}", 415, "application/json"),
        ({"Content-Type": "image/gif"}, b"GIF89a", 415, "image/gif"),
        ({"Content-Type": "multipart/form-data"}, b"", 400, "no boundary"),
        (FORM, b"", 400, "last boundary"),
        (FORM, b"nothing of a form", 400, "cannot be read"),
        (FORM, END, 422, "no picture was sent"),
        (FORM, part("pictures", picture("plum", 9))[:-40], 400, "last boundary"),
        (FORM, part("pictures", picture("plum", 9)), 400, "last boundary"),
        (FORM, part("pictures", b"", "") + END, 422, "no picture was sent"),
        (FORM, part("pictures", b"text", None) + END, 422, "as a file"),
        (FORM, part("photo", picture("plum", 9)) + END, 422, "'photo'"),
        (FORM, part("pictures", b"x") * 65 + END, 422, "more than 64 pictures"),
        (FORM, part("top", b"1", None) * 200 + END, 400, "Too many fields"),
        (FORM, part("top", b"1" * 70_000, None) + END, 400, "maximum size"),
        (FORM, part("pictures", b"x") + part("top", b"many", None) + END, 422, "top"),
        (FORM, part("pictures", b"x") + part("top", b"1", None) * 2 + END, 422, "top"),
        (FORM, part("pictures", b"x") + part("colour", b"1", None) + END, 422, "colour"),
        (FORM, b"--xx\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, 400, "name"),
    ],
)
def test_hostile_bodies_are_answered_with_what_is_wrong(shopper, headers, body, status, said):
    answer = shopper.post(CLASSIFY, content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert said in answer.json()["detail"]


def test_a_picture_as_the_body_that_is_none_says_why(shopper):
    for body in (b"", b"text", b"\xff\xd8\xff" + b"\0" * 50):
        answer = shopper.post(CLASSIFY, content=body, headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 200
        (item,) = answer.json()["items"]
        assert set(item) == {"path", "error"}


@pytest.mark.parametrize("name", ["\x00", "a" * 3000, "../../etc/passwd", "\udcff\udcfe.png", "名前.png", '<b>"', ""])
def test_names_of_files_are_told_and_nothing_more(shopper, name):
    body = part("pictures", picture("plum", 9), name.replace('"', "%22")) + END
    answer = shopper.post(CLASSIFY, content=body, headers=FORM)
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["items"]
    assert item["label"] == "plum"
    assert len(item["path"]) <= 1000


def test_64_pictures_are_fine(shopper):
    labels = [list(COLOURS)[n % 3] for n in range(64)]
    files = [("pictures", (f"{n}.png", picture(label, n + 70), PNG)) for n, label in enumerate(labels)]
    items = shopper.post(CLASSIFY, files=files).json()["items"]
    assert [one["label"] for one in items] == labels


@pytest.mark.parametrize("verb", ["classify", "verify", "search", "preview"])
def test_a_body_that_says_it_is_huge_is_not_read(shopper, verb):
    read: list[int] = []

    def body():
        for _ in range(200):
            read.append(1)
            yield b"x" * 1024 * 1024

    headers = FORM | {"Content-Length": str(MAX_BODY_BYTES + 1)}
    declared = shopper.post(f"/v1/catalogues/fruit:{verb}", content=body(), headers=headers)
    assert (declared.status_code, declared.json()["code"]) == (413, "TooLarge")
    assert "65536 kB" in declared.json()["detail"]


async def _endless(read: list[int]):
    yield part("pictures", b"")[:-2]
    while True:
        read.append(1)
        yield b"x" * 1024 * 1024


def test_a_body_that_does_not_end_is_read_up_to_the_limit(shop, shopper):
    read: list[int] = []

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(shop.client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://holotype") as client:
            headers = FORM | {"Authorization": shopper.headers["Authorization"]}
            return await client.post(CLASSIFY, content=_endless(read), headers=headers, timeout=60)

    answer = anyio.run(ask)
    assert (answer.status_code, answer.json()["code"]) == (413, "TooLarge")
    assert len(read) == MAX_BODY_BYTES // 2**20


def test_a_json_body_has_an_end(shopper):
    answer = shopper.post("/v1/catalogues/fruit:search", json={"text": "x" * 100_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "TooLarge")


def test_nothing_is_read_of_a_body_before_the_key_was_looked_at(shop):
    def body():
        raise AssertionError("it was read")
        yield b""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(shop.client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://holotype") as client:
            return await client.post(CLASSIFY, content=_slow(body), headers=FORM)

    assert anyio.run(ask).status_code == 401


async def _slow(body):
    for chunk in body():
        yield chunk


def test_a_client_that_goes_away_leaves_nothing_behind(shop, shopper, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    body = part("pictures", b"x" * 3_000_000)
    told: list[dict] = []

    async def ask() -> None:
        sent = iter([{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}])

        async def receive():
            return next(sent)

        async def send(message):
            told.append(message)

        credential = shopper.headers["Authorization"].encode()
        headers = [(b"content-type", FORM["Content-Type"].encode()), (b"authorization", credential)]
        scope = {"type": "http", "method": "POST", "path": CLASSIFY, "raw_path": CLASSIFY.encode(), "headers": headers}
        scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "asgi": {"version": "3.0"}}
        scope |= {"server": ("holotype", 80), "client": ("127.0.0.1", 1), "root_path": ""}
        await shop.client.app(scope, receive, send)

    anyio.run(ask)
    assert told[0]["status"] == 400
    gc.collect()
    assert not list(tmp_path.glob("tmp*"))
    assert shopper.post(CLASSIFY, files={"pictures": ("p.png", picture("plum", 3), PNG)}).status_code == 200


def test_an_empty_catalogue_has_nothing_to_serve(shop):
    acme = shop.as_tenant("acme")
    acme.post("/v1/catalogues", json={"name": "empty"})
    for verb in ("classify", "verify", "search", "evaluate", "preview"):
        part_name = "picture" if verb == "search" else "pictures"
        data = {"label": "new"} if verb in ("preview", "verify") else {}
        files = {part_name: ("apple/1.png", picture("apple", 1), PNG)}
        answer = acme.post(f"/v1/catalogues/empty:{verb}", files=files, data=data)
        assert (answer.status_code, answer.json()["code"]) == (409, "NothingToServe")
        assert "ingest labelled pictures" in answer.json()["detail"]
    assert acme.post("/v1/catalogues/empty:optimise", json={}).json()["code"] == "NothingToServe"


def test_requests_at_once_share_forward_passes_and_each_gets_its_own_answer(shopper, monkeypatch):
    """While the first pass runs the others wait: they go through together, however many requests they are."""
    count, passes = 24, []
    entered, go = threading.Event(), threading.Event()
    encode = PixelEncoder.encode

    def slow(self, inputs):
        passes.append(len(inputs))
        entered.set()
        assert go.wait(30)
        return encode(self, inputs)

    monkeypatch.setattr(PixelEncoder, "encode", slow)
    labels = [list(COLOURS)[n % 3] for n in range(count)]
    bodies = [picture(label, n + 200) for n, label in enumerate(labels)]

    def ask(n: int) -> dict:
        answer = shopper.post(CLASSIFY, files={"pictures": (f"{n}.png", bodies[n], PNG)})
        assert answer.status_code == 200, answer.text
        return answer.json()["items"][0]

    batched = shopper.app.state.context.encoders
    with ThreadPoolExecutor(count) as pool:
        first = pool.submit(ask, 0)
        assert entered.wait(30)
        others = [pool.submit(ask, n) for n in range(1, count)]
        (waiting,) = batched._passes.values()
        while sum(map(len, waiting._waiting.values())) < count - 1:
            assert not any(one.done() for one in others)
        go.set()
        items = [first.result(30), *(one.result(30) for one in others)]
    assert [one["label"] for one in items] == labels
    assert [one["path"] for one in items] == [f"{n}.png" for n in range(count)]
    assert passes == [1, 16, 7], "the first alone, the others together, 16 a pass on a CPU"


def test_a_request_whose_embedding_fails_does_not_take_others_along(shopper, monkeypatch):
    encode = PixelEncoder.encode

    def picky(self, inputs):
        if any(np.asarray(one).max() < 0.01 for one in inputs):
            raise RuntimeError("black breaks it")
        return encode(self, inputs)

    monkeypatch.setattr(PixelEncoder, "encode", picky)
    black = _black()
    bodies = [black if n % 5 == 2 else picture("plum", n) for n in range(20)]

    def ask(body: bytes) -> int:
        return shopper.post(CLASSIFY, files={"pictures": ("p.png", body, PNG)}).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(ask, bodies))
    assert statuses == [500 if body is black else 200 for body in bodies]


def _black() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "PNG")
    return buffer.getvalue()
