"""Sends signed messages (Standard Webhooks) over HTTP: to public addresses, within ten seconds, without redirects."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks import Webhook as Signer

from service import __version__
from service.adapters.public_address import PinnedUrl, checked_url, pinned
from service.errors import InvalidInput, Unavailable
from service.ports import Sent
from service.records import Webhook

TIMEOUT_S = 10.0
"""For an attempt as a whole, however slowly a receiver lets single bytes pass."""

MAX_RESPONSE_BYTES = 64 * 1024
"""More of a response is not read: its status is all that counts."""

GONE = 410


class HttpWebhookSender:
    """Implements `ports.WebhookSender`."""

    def __init__(self, *, private: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        """`private` allows http and addresses that are not public: for tests, and networks without the outside."""
        self._private = private
        self._timeout_s = timeout_s

    def check(self, url: str) -> None:
        """Raises InvalidInput for a URL that cannot be called, of an address that is not public, or of no host."""
        checked_url(url, http=self._private)
        try:
            pinned(url, private=self._private)
        except Unavailable as error:
            raise InvalidInput(f"the webhook cannot be registered: {error.message}", url=url[:200]) from error

    def send(self, webhook: Webhook, message_id: str, body: Mapping[str, Any]) -> Sent:
        """One attempt; never raises for what the receiver or the network does."""
        try:
            target = pinned(webhook.url, private=self._private)
        except (InvalidInput, Unavailable) as error:
            return Sent(error.message)
        text = json.dumps(dict(body), separators=(",", ":"))
        try:
            status = asyncio.run(self._post(target, text, _headers(webhook.secret, message_id, text)))
        except TimeoutError:
            return Sent(f"the receiver did not answer within {self._timeout_s:.0f} s")
        except httpx.HTTPError as error:
            return Sent(f"the receiver could not be reached: {str(error) or type(error).__name__}")
        return _judged(status)

    async def _post(self, target: PinnedUrl, text: str, headers: Mapping[str, str]) -> int:
        """The status of the answer. The whole attempt has one deadline."""
        request = target.request()
        request["headers"] |= headers
        async with (
            asyncio.timeout(self._timeout_s),
            httpx.AsyncClient(timeout=self._timeout_s, trust_env=False, follow_redirects=False) as client,
            client.stream("POST", content=text.encode(), **request) as response,
        ):
            read = 0
            async for part in response.aiter_raw():
                read += len(part)
                if read > MAX_RESPONSE_BYTES:
                    break
            return response.status_code


def _headers(secret: str, message_id: str, text: str) -> dict[str, str]:
    now = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": f"holotype/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": Signer(secret).sign(message_id, datetime.fromtimestamp(now, UTC), text),
    }


def _judged(status: int) -> Sent:
    if 200 <= status < 300:
        return Sent()
    if 300 <= status < 400:
        return Sent(f"the receiver answered {status}, a redirect: register the URL that it leads to")
    return Sent(f"the receiver answered {status}", hopeless=status == GONE)
