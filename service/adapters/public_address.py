"""Calling hosts that strangers name: only at public addresses, resolved once, connected to as resolved.

A name is looked up once and the connection goes to the address that was checked, so a name server that answers
differently the second time changes nothing. Host header, TLS server name and certificate stay those of the name.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Any

import httpx

from service.errors import InvalidInput, Unavailable, quoted

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:.]+\]?")


@dataclass(frozen=True, slots=True)
class PinnedUrl:
    """A URL whose host was looked up and found fit to be called.

    Attributes:
        url: the URL with the address in the place of the name.
        host: what the Host header says: the name, with its port where that is unusual.
        server_name: the name that the certificate must be for.
    """

    url: str
    host: str
    server_name: str

    def request(self) -> dict[str, Any]:
        """Arguments for `httpx.Client.request` or `.stream`; add the method, and further headers to `headers`.

        The client needs `trust_env=False` (or a proxy would look the name up) and `follow_redirects=False` (each
        redirect is pinned anew).
        """
        return {"url": self.url, "headers": {"Host": self.host}, "extensions": {"sni_hostname": self.server_name}}


def pinned(url: str, *, private: bool = False) -> PinnedUrl:
    """Look the URL's host up, once.

    Args:
        url: an absolute https URL without credentials; http only with `private`.
        private: also addresses that are not public, for tests and for networks without the outside.

    Raises:
        InvalidInput: the URL cannot be used, or one of the host's addresses is not public.
        Unavailable: the host's name cannot be looked up.
    """
    parsed = checked_url(url, http=private)
    port = parsed.port or PORTS[parsed.scheme]
    name = parsed.raw_host.decode("ascii").strip("[]")
    addresses = _looked_up(name, port)
    refused = [address for address in addresses if not is_public(address)]
    if refused and not private:
        raise InvalidInput(
            f"{quoted(name)} is at {refused[0]}, which is no public address: only hosts of the open internet "
            "are called",
            host=name,
            address=str(refused[0]),
        )
    return PinnedUrl(
        url=str(parsed.copy_with(host=str(addresses[0]))),
        host=parsed.netloc.decode("ascii"),
        server_name=name,
    )


def checked_url(url: str, *, http: bool = False) -> httpx.URL:
    """The URL, parsed. Raises InvalidInput where it is not absolute, not https (or http) or holds credentials."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidInput(f"{quoted(url)} is no URL: {error}", url=url[:200]) from error
    schemes = ("https", "http") if http else ("https",)
    if parsed.scheme not in schemes or not parsed.host:
        raise InvalidInput(f"{quoted(url)} cannot be called: give an absolute {schemes[0]} URL", url=url[:200])
    if parsed.userinfo:
        raise InvalidInput("the URL holds a user name or password: leave them away", host=parsed.host)
    if not _HOST.fullmatch(parsed.raw_host.decode("ascii")) or not 0 < (parsed.port or PORTS[parsed.scheme]) < 65536:
        raise InvalidInput(f"{quoted(url)} is no URL: its host or port cannot be", url=url[:200])
    return parsed


def is_public(address: Address) -> bool:
    """Is it an address of the open internet? An IPv4 address inside an IPv6 one counts as itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a mapped, 6to4, Teredo or NAT64 address leads to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else None


def _looked_up(name: str, port: int) -> list[Address]:
    """All addresses of the name, without doubles."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"the host {quoted(name)} cannot be found ({error})", host=name) from error
    return [ipaddress.ip_address(text) for text in dict.fromkeys(str(one[4][0]) for one in found)]
