"""The client for programs that wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from service.client.transport import Blocking
from service.client.uploads import Upload, folder_pictures, upload
from service.client.waiting import OnProgress, wait

P = ParamSpec("P")
T = TypeVar("T")


class Holotype(Surface):
    """A Holotype server, asked over HTTP. Its methods are the API's routes; errors are those of `service.errors`.

    >>> with Holotype("http://127.0.0.1:8000", key) as holotype:
    ...     job = holotype.upload_folder("fruit", Path("photos"))
    ...     holotype.wait(job.id)

    Safe to be used by several threads.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = ANSWER_S,
        retrying: Retrying = DEFAULT_RETRYING,
        transport: httpx.BaseTransport | None = None,
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
        self._http = httpx.Client(transport=transport, **options_of(url, key, timeout_s))
        self._retrying = retrying
        self._driver = Blocking(self._http)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, call: Call[T]) -> T:
        """The answer's value. Raises ApiProblem, Unavailable."""
        return self._driver.run(ask(call, self._retrying))

    def each(self, method: Method[P, Page[T]], *args: P.args, **options: P.kwargs) -> Iterator[T]:
        """All rows of a list, over its pages: `each(Holotype.list_examples, "fruit", label="pear")`."""
        given: dict[str, Any] = dict(options)
        while True:
            page: Page[T] = self.ask(method.make(*args, **given))
            yield from page.items
            if page.next_cursor is None:
                return
            given["cursor"] = page.next_cursor

    def wait(self, job: str, on_progress: OnProgress = lambda *_: None, poll_s: float = POLL_S) -> Job:
        """The job once it is done. Raises JobFailed, NotFound, Unavailable."""
        return self._driver.run(wait(job, self._retrying, on_progress, poll_s))

    def upload(self, how: Upload, pictures: Iterable[Picture]) -> Job:
        """Hand over any number of pictures, read as they are sent; the job as it begins. Raises as `uploads.upload`."""
        return self._driver.run(upload(how, pictures, self._retrying))

    def upload_folder(self, name: str, folder: Path, split: str = "auto") -> Job:
        """Hand over label/picture.jpg; the job as it begins. Raises as `uploads.upload` and `folder_pictures`."""
        return self.upload(Upload(name=name), folder_pictures(folder, split=split))

    def export_archive(self, name: str, file: IO[bytes], *, images: bool = True) -> int:
        """Write a catalogue's archive into the file; its bytes."""
        return self._driver.run(download(export_archive(name, images=images), self._retrying, file))
