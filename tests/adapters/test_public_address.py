"""Which hosts strangers may have called."""

from __future__ import annotations

import ipaddress
import socket

import httpx
import pytest

from service.adapters.public_address import checked_url, is_public, pinned
from service.errors import InvalidInput, Unavailable


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff0e::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"])
def test_a_host_inside_is_refused_however_it_is_spelt(host):
    with pytest.raises(InvalidInput, match="no public address"):
        pinned(f"https://{host}/hook")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://example.com/x", "absolute https URL"),
        ("ftp://example.com/x", "absolute https URL"),
        ("file:///etc/passwd", "absolute https URL"),
        ("/x", "absolute https URL"),
        ("https://", "absolute https URL"),
        ("https://user:word@example.com/", "user name or password"),
        ("https://exa mple.com/", "is no URL"),
        ("https://example.com:99999/", "is no URL"),
    ],
)
def test_urls_that_cannot_be_called(url, told):
    with pytest.raises(InvalidInput, match=told):
        checked_url(url)


def resolving(monkeypatch, *addresses):
    calls = []

    def getaddrinfo(host, port, **_):
        calls.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return calls


def test_the_connection_goes_to_the_address_and_speaks_of_the_name(monkeypatch):
    calls = resolving(monkeypatch, "1.1.1.1")
    found = pinned("https://bücher.example:8443/a?b=c")
    assert found.url == "https://1.1.1.1:8443/a?b=c"
    assert (found.host, found.server_name) == ("xn--bcher-kva.example:8443", "xn--bcher-kva.example")
    assert calls == ["xn--bcher-kva.example"]
    request = httpx.Client().build_request("POST", **found.request())
    assert request.headers["host"] == "xn--bcher-kva.example:8443"
    assert request.url.host == "1.1.1.1"


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    resolving(monkeypatch, "1.1.1.1", "10.0.0.1")
    with pytest.raises(InvalidInput, match=r"10\.0\.0\.1"):
        pinned("https://example.com/")


def test_an_ipv6_address_is_written_in_brackets(monkeypatch):
    resolving(monkeypatch, "2606:4700:4700::1111")
    assert pinned("https://example.com/x").url == "https://[2606:4700:4700::1111]/x"


def test_a_name_that_is_not_there(monkeypatch):
    def getaddrinfo(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Unavailable, match="cannot be found"):
        pinned("https://example.com/")


def test_private_hosts_where_they_are_allowed():
    assert pinned("http://127.0.0.1:1234/x", private=True).url == "http://127.0.0.1:1234/x"
