"""The client for programs with an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import IO, Any, ParamSpec, Self, TypeVar

import httpx

from service.client.calls import Call
from service.client.connection import ANSWER_S, DEFAULT_RETRYING, POLL_S, options_of
from service.client.models.base import Page
from service.client.models.jobs import Job
from service.client.retrying import Retrying
from service.client.routes.catalogues import export_archive
from service.client.routes.jobs import Picture
from service.client.steps import ask, download
from service.client.surface import Method, Surface
from service.client.transport import Awaiting
from service.client.uploads import Upload, folder_pictures, upload
from service.client.waiting import OnProgress, wait

P = ParamSpec("P")
T = TypeVar("T")


class AsyncHolotype(Surface):
    """A Holotype server, asked over HTTP. Its methods are the API's routes; errors are those of `service.errors`.

    >>> async with AsyncHolotype("http://127.0.0.1:8000", key) as holotype:
    ...     job = await holotype.upload_folder("fruit", Path("photos"))
    ...     await holotype.wait(job.id)

    For one event loop. Pictures are read from the disk by the loop itself, a batch at a time.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = ANSWER_S,
        retrying: Retrying = DEFAULT_RETRYING,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """A client of the server at `url`; `key` names the tenant.

        Args:
            url: such as http://127.0.0.1:8000.
            key: `holo_...`.
            timeout_s: until an answer begins; uploads and archives have their own.
            retrying: when requests are sent again.
            transport: instead of the network, for tests.

        Raises:
            InvalidInput: the URL or the key cannot be one.
        """
        self._http = httpx.AsyncClient(transport=transport, **options_of(url, key, timeout_s))
        self._retrying = retrying
        self._driver = Awaiting(self._http)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def ask(self, call: Call[T]) -> T:
        """The answer's value. Raises ApiProblem, Unavailable."""
        return await self._driver.run(ask(call, self._retrying))

    async def each(self, method: Method[P, Page[T]], *args: P.args, **options: P.kwargs) -> AsyncIterator[T]:
        """All rows of a list, over its pages: `each(AsyncHolotype.list_examples, "fruit", label="pear")`."""
        given: dict[str, Any] = dict(options)
        while True:
            page: Page[T] = await self.ask(method.make(*args, **given))
            for row in page.items:
                yield row
            if page.next_cursor is None:
                return
            given["cursor"] = page.next_cursor

    async def wait(self, job: str, on_progress: OnProgress = lambda *_: None, poll_s: float = POLL_S) -> Job:
        """The job once it is done. Raises JobFailed, NotFound, Unavailable."""
        return await self._driver.run(wait(job, self._retrying, on_progress, poll_s))

    async def upload(self, how: Upload, pictures: Iterable[Picture]) -> Job:
        """Hand over any number of pictures, read as they are sent; the job as it begins. Raises as `uploads.upload`."""
        return await self._driver.run(upload(how, pictures, self._retrying))

    async def upload_folder(self, name: str, folder: Path, split: str = "auto") -> Job:
        """Hand over label/picture.jpg; the job as it begins. Raises as `uploads.upload` and `folder_pictures`."""
        return await self.upload(Upload(name=name), folder_pictures(folder, split=split))

    async def export_archive(self, name: str, file: IO[bytes], *, images: bool = True) -> int:
        """Write a catalogue's archive into the file; its bytes."""
        return await self._driver.run(download(export_archive(name, images=images), self._retrying, file))
