"""Fetching pictures from the open internet: https on port 443, public addresses only, a few redirects, no drips.

Each address is looked up once and called as looked up (`public_address`), each redirect goes through the same door.
Nothing of this service goes along: no cookies, no credentials, no proxy of the environment. What comes is bytes; their
type is looked at by the decoder alone, whatever the server calls it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from service import __version__
from service.adapters.public_address import PinnedUrl, checked_url, pinned
from service.errors import InvalidInput, Unavailable, quoted
from service.usecases.files import MAX_FILE_BYTES, too_large

MAX_REDIRECTS = 3
DEADLINE_S = 20.0
"""Seconds for one picture with all its redirects: a server that sends a byte now and then is left, too."""
HTTPS_PORT = 443
USER_AGENT = f"holotype/{__version__}"

Pin = Callable[[str], PinnedUrl]
"""Looks a URL's host up and refuses what must not be called."""


class UrlFetcher:
    """Implements `ports.PictureFetcher`. Keeps no connection: what one host learns, no other request sees."""

    def __init__(self, pin: Pin = pinned, *, deadline_s: float = DEADLINE_S, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._pin = pin
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes

    def check(self, url: str) -> None:
        parsed = checked_url(url)
        if (parsed.port or HTTPS_PORT) != HTTPS_PORT:
            raise InvalidInput(f"the URL names port {parsed.port}; pictures are fetched from port {HTTPS_PORT} only")

    def fetch(self, url: str) -> bytes:
        try:
            return asyncio.run(self._followed(url))
        except TimeoutError:
            raise InvalidInput(f"it did not arrive within {self._deadline_s:g} s: the server is too slow") from None
        except Unavailable as error:
            raise InvalidInput(error.message) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise InvalidInput(f"it could not be fetched: {str(error) or type(error).__name__}") from error

    async def _followed(self, url: str) -> bytes:
        """The bytes behind all redirects, which have one deadline together, whatever drips: headers or content."""
        async with asyncio.timeout(self._deadline_s):
            for _ in range(MAX_REDIRECTS + 1):
                found = await self._once(url)
                if isinstance(found, bytes):
                    return found
                url = found
        raise InvalidInput(f"it was redirected more than {MAX_REDIRECTS} times: give the URL of the picture itself")

    async def _once(self, url: str) -> bytes | str:
        """The bytes, or where the server points to."""
        self.check(url)
        request = self._pin(url).request()
        # Without compression: what a few bytes swell to must not be known only afterwards.
        request["headers"] |= {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=self._deadline_s) as client,
            client.stream("GET", **request) as answer,
        ):
            if answer.has_redirect_location:
                return str(httpx.URL(url).join(answer.headers["location"]))
            if answer.status_code != httpx.codes.OK:
                raise InvalidInput(f"{quoted(url)} answers {answer.status_code}; 200 is needed")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise InvalidInput(f"{quoted(url)} sends compressed content, which was not asked for")
            return await self._read(answer)

    async def _read(self, answer: httpx.Response) -> bytes:
        declared = answer.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise InvalidInput(too_large(int(declared)))
        data = bytearray()
        async for part in answer.aiter_raw():
            data += part
            if len(data) > self._max_bytes:
                raise InvalidInput(f"{too_large(len(data))} (and the server has not ended)")
        if not data:
            raise InvalidInput("the server answered without any content")
        return bytes(data)
