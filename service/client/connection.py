"""What both clients are made of: where the server is, the key, timeouts and how often requests are repeated."""

from __future__ import annotations

from typing import Any

import httpx

from service.client.retrying import Retrying
from service.errors import InvalidInput

CONNECT_S = 10.0
ANSWER_S = 60.0
USER_AGENT = "holotype-client"
POLL_S = 1.0
"""Between two looks at a job whose events cannot be had."""


def options_of(url: str, key: str | None, timeout_s: float) -> dict[str, Any]:
    """Options of an httpx client. Raises InvalidInput for a URL that is none."""
    headers = {"User-Agent": USER_AGENT}
    if key is not None:
        if not key.isascii() or not key.isprintable():
            raise InvalidInput("the key holds characters that no key has: give it as it was shown, `holo_...`")
        headers["Authorization"] = f"Bearer {key}"
    return {
        "base_url": checked_url(url),
        "headers": headers,
        "timeout": httpx.Timeout(timeout_s, connect=CONNECT_S),
    }


def checked_url(url: str) -> str:
    """The server's URL. Raises InvalidInput where it is none."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidInput(f"{url!r} is no URL of a server: {error}", url=url) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidInput(f"{url!r} is no URL of a server: give one such as http://127.0.0.1:8000", url=url)
    return url.rstrip("/")


DEFAULT_RETRYING = Retrying()
