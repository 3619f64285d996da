"""Fetching from hostile servers: a real one on this machine, reached through a door that lets one name of it in."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from service.adapters.public_address import PinnedUrl, checked_url, pinned
from service.adapters.url_fetch import MAX_REDIRECTS, UrlFetcher
from service.errors import InvalidInput

Answer = Callable[[socket.socket, str], None]


class Server:
    """Answers each connection by what is set for the path; `asked` are the requests' heads."""

    def __init__(self) -> None:
        self.paths: dict[str, Answer] = {}
        self.asked: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with closing(connection):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            self.asked.append(head.decode())
            path = head.split(b" ", 2)[1].decode()
            try:
                self.paths[path](connection, path)
            except OSError:
                return


def sends(data: bytes) -> Answer:
    return lambda connection, _: connection.sendall(data)


def ok(body: bytes, *headers: str) -> Answer:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return sends("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def moved(where: str, *headers: str) -> Answer:
    lines = ["HTTP/1.1 302 Found", f"Location: {where}", "Content-Length: 0", "Connection: close", *headers]
    return sends("\r\n".join(lines).encode() + b"\r\n\r\n")


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


@pytest.fixture
def fetcher(server) -> UrlFetcher:
    return fetching(server)


def fetching(server: Server, **limits) -> UrlFetcher:
    """Lets `pictures.test` in, which is the server; everything else meets the real guard."""

    def pin(url: str) -> PinnedUrl:
        parsed = checked_url(url)
        if parsed.host != "pictures.test":
            return pinned(url)
        own = parsed.copy_with(scheme="http", host="127.0.0.1", port=server.port)
        return PinnedUrl(url=str(own), host="pictures.test", server_name="pictures.test")

    return UrlFetcher(pin, **limits)


def refused(fetcher: UrlFetcher, url: str = "https://pictures.test/a.jpg") -> str:
    with pytest.raises(InvalidInput) as error:
        fetcher.fetch(url)
    return error.value.message


def test_the_bytes_are_those_of_the_server_whatever_it_calls_them(server, fetcher):
    server.paths["/a.jpg?x=1"] = ok(b"picture", "Content-Type: text/html")
    assert fetcher.fetch("https://pictures.test/a.jpg?x=1") == b"picture"
    (head,) = server.asked
    assert "host: pictures.test\r\n" in head.lower()
    assert "cookie" not in head.lower()
    assert "authorization" not in head.lower()


def test_redirects_are_followed_without_cookies_three_at_most(server, fetcher):
    for number in range(MAX_REDIRECTS + 1):
        server.paths[f"/{number}"] = moved(f"/{number + 1}", "Set-Cookie: id=1")
    server.paths[f"/{MAX_REDIRECTS + 1}"] = ok(b"picture")
    assert fetcher.fetch("https://pictures.test/1") == b"picture"
    assert all("cookie" not in head.lower() for head in server.asked)
    assert "more than 3 times" in refused(fetcher, "https://pictures.test/0")


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("https://127.0.0.1/", "no public address"),
        ("https://169.254.169.254/latest/meta-data/", "no public address"),
        ("https://[::1]/", "no public address"),
        ("https://[::ffff:10.0.0.1]/", "no public address"),
        ("https://localhost/", "no public address"),
        ("https://2130706433/", "no public address"),
        ("http://pictures.test/b.jpg", "https"),
        ("file:///etc/passwd", "https"),
        ("https://pictures.test:8443/", "port 8443"),
        ("https://user:secret@pictures.test/", "user name or password"),
        ("//127.0.0.1/", "no public address"),
    ],
)
def test_redirects_go_through_the_same_door(server, fetcher, where, reason):
    server.paths["/a.jpg"] = moved(where)
    assert reason in refused(fetcher)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.test/a.jpg",
        "https://pictures.test:444/a.jpg",
        "https://user@pictures.test/a.jpg",
        "ftp://pictures.test/a.jpg",
        "https:///a.jpg",
        "a.jpg",
        "",
        "https://pictures.test:port/",
    ],
)
def test_urls_that_are_never_fetched_are_told_without_calling_anybody(server, fetcher, url):
    with pytest.raises(InvalidInput):
        fetcher.check(url)
    refused(fetcher, url)
    assert server.asked == []


def test_a_name_is_called_where_it_was_looked_up_the_one_time(server, monkeypatch):
    """A name server that answers a public address first and this machine's afterwards is asked once a request."""
    looked_up: list[str] = []

    def changing(name, *_args, **_options):
        looked_up.append(name)
        address = "93.184.216.34" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]

    called: list[str] = []

    async def connect(self, host, port, **_options):
        called.append(f"{host}:{port}")
        raise OSError("there is no internet here")

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    monkeypatch.setattr("httpcore._backends.auto.AutoBackend.connect_tcp", connect)
    with pytest.raises((InvalidInput, OSError)):
        UrlFetcher().fetch("https://rebinding.test/a.jpg")
    assert (looked_up, called) == (["rebinding.test"], ["93.184.216.34:443"])
    assert "no public address" in refused(UrlFetcher(), "https://rebinding.test/a.jpg")
    assert len(called) == 1


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("93.184.216.34", "192.168.1.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: both)
    assert "192.168.1.1" in refused(UrlFetcher(), "https://mixed.test/")


def test_an_endless_body_is_left(server):
    def endless(connection: socket.socket, _path: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(bytes(4096))

    server.paths["/a.jpg"] = endless
    assert "at most" in refused(fetching(server, max_bytes=50_000))


@pytest.mark.parametrize("declared", [10**12, 60_000])
def test_a_body_that_says_it_is_too_large_is_not_read(server, declared):
    server.paths["/a.jpg"] = sends(f"HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n\r\nabc".encode())
    assert "at most" in refused(fetching(server, max_bytes=50_000))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"not http at all\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 302 Found\r\nLocation: https://[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_answers_that_lie_or_say_nothing_are_a_sentence(server, fetcher, answer):
    server.paths["/a.jpg"] = sends(answer)
    assert len(refused(fetcher)) > 20


@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_a_slow_drip_is_left_at_the_deadline(server, beginning):
    def drip(connection: socket.socket, _path: str) -> None:
        connection.sendall(beginning)
        for _ in range(200):
            time.sleep(0.05)
            connection.sendall(b"x")

    server.paths["/a.jpg"] = drip
    began = time.monotonic()
    assert "too slow" in refused(fetching(server, deadline_s=0.5))
    assert time.monotonic() - began < 5


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pictures.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pictures.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (tmp_path / "own.pem").write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "own.pem")
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def shake_hands() -> None:
            connection, _ = listening.accept()
            with closing(connection), suppress(OSError):
                tls.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=shake_hands, daemon=True).start()
        address = f"https://127.0.0.1:{listening.getsockname()[1]}/a.jpg"
        pin = PinnedUrl(url=address, host="pictures.test", server_name="pictures.test")
        assert "CERTIFICATE_VERIFY_FAILED" in refused(UrlFetcher(lambda _url: pin))
