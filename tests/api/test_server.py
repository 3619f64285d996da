"""The server's own limits: slow clients, and whose word is taken for where a request comes from."""

import socket
import time

import httpx
import pytest

from service.api import slow_clients
from tests.api.serving import served


async def echo(scope, receive, send):
    """Answers with the client's address, and the body's length for those that have one."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": f"{message['type']}.complete"})
        return
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['client'][0]} {length}".encode()})


def connected(url):
    parsed = httpx.URL(url)
    return socket.create_connection((parsed.host, parsed.port), timeout=20)


def until(raw, expected):
    """What arrives, up to `expected`."""
    got = b""
    while expected not in got:
        more = raw.recv(4000)
        assert more, got
        got += more
    return got.decode()


@pytest.mark.parametrize("sent", [b"", b"GET / HTT"])
def test_a_connection_without_a_whole_head_is_ended(monkeypatch, sent):
    monkeypatch.setattr(slow_clients, "HEAD_S", 0.2)
    with served(echo) as url, connected(url) as raw:
        raw.sendall(sent)
        assert raw.recv(100) == b""


def test_so_is_one_that_was_answered_before(monkeypatch):
    monkeypatch.setattr(slow_clients, "HEAD_S", 0.2)
    with served(echo) as url, connected(url) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        until(raw, b"127.0.0.1 0\r\n0\r\n\r\n")
        raw.sendall(b"GET / HTT")
        began = time.monotonic()
        assert raw.recv(100) == b""
        assert time.monotonic() - began < 10


def test_a_body_that_stops_is_answered_408(api, acme, monkeypatch):
    monkeypatch.setattr(slow_clients, "BODY_GRACE_S", 0.2)
    with served(api.client.app) as url, connected(url) as raw:
        head = f"POST /v1/catalogues HTTP/1.1\r\nHost: x\r\nAuthorization: {acme.headers['authorization']}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        answer = until(raw, b"stopped arriving after 1 bytes")
    assert answer.startswith("HTTP/1.1 408 ")
    assert "application/problem+json" in answer


def test_a_slow_body_that_goes_on_arrives(monkeypatch):
    monkeypatch.setattr(slow_clients, "BODY_GRACE_S", 1.0)
    monkeypatch.setattr(slow_clients, "SLOWEST_BYTES_PER_S", 1)
    with served(echo) as url, connected(url) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n")
        for _ in range(3):
            raw.sendall(b"x" * 10)
            time.sleep(0.5)
        until(raw, b"127.0.0.1 30")


def test_forwarded_headers_are_believed_from_named_proxies_only():
    forwarded = {"X-Forwarded-For": "9.9.9.9"}
    with served(echo) as url:
        assert httpx.get(url, headers=forwarded).text == "127.0.0.1 0"
    with served(echo, forwarded_allow_ips="127.0.0.1") as url:
        assert httpx.get(url, headers=forwarded).text == "9.9.9.9 0"
    with served(echo, forwarded_allow_ips="192.0.2.1") as url:
        assert httpx.get(url, headers=forwarded).text == "127.0.0.1 0"
