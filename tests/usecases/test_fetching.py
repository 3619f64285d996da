"""Pictures by URL: fetched once, written down, and embedded like any other, also when workers vanish."""

from __future__ import annotations

import pytest

from service.errors import InvalidInput, NotPermitted, Unavailable
from service.records import ItemState, JobKind, JobState
from service.usecases.context import image_key
from service.usecases.fetching import AT_ONCE
from service.usecases.uploads import Purpose, start_upload
from service.usecases.url_pictures import NamedPicture, by_url
from tests.fakes import FAKE_ENCODER, embed_chunk, fake_context, picture

PURPOSE = Purpose(kind=JobKind.INGEST, fetches=True)


class FakeFetcher:
    """Gives what `pages` holds; `fetched` are the URLs in order. A page that is a text is the reason why not."""

    def __init__(self, pages: dict[str, bytes | str]) -> None:
        self.pages = pages
        self.fetched: list[str] = []

    def check(self, url: str) -> None:
        if not url.startswith("https://"):
            raise InvalidInput(f"{url} is no https URL")

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        page = self.pages[url]
        if isinstance(page, str):
            raise InvalidInput(page)
        return page


def pages(count: int = 6) -> dict[str, bytes | str]:
    return {f"https://pictures.test/{number}": picture(f"p{number}", number) for number in range(count)}


def handed_over(context, urls, label="apple"):
    context.registry.ensure_tenant("acme")
    context.registry.create_catalogue("acme", "fruit", FAKE_ENCODER)
    named = [NamedPicture(url=url, label=label, metadata={"lot": "7"}) for url in urls]
    return start_upload(context, "acme", "fruit", by_url(context, named, labels=True), PURPOSE)


def test_urls_become_examples():
    fetcher = FakeFetcher(pages())
    context = fake_context(fetcher=fetcher)
    job = handed_over(context, fetcher.pages)
    assert {item.content_hash for item in context.registry.items(job.id)} == {""}
    context.queue.deliver(context)
    assert context.registry.job(job.id).state is JobState.DONE
    rows = context.registry.examples(context.registry.catalogue("acme", "fruit").id)
    assert {row.source for row in rows} == set(fetcher.pages)
    assert all(context.blobs.data[image_key("acme", row.content_hash)] == fetcher.pages[row.source] for row in rows)
    assert all(dict(row.metadata) == {"lot": "7"} for row in rows)
    assert sorted(fetcher.fetched) == sorted(fetcher.pages)


def test_what_cannot_be_fetched_fails_alone():
    fetcher = FakeFetcher(pages() | {"https://pictures.test/gone": "it answers 404", "ftp://x": b""})
    context = fake_context(fetcher=fetcher)
    job = handed_over(context, fetcher.pages)
    context.queue.deliver(context)
    items = {item.source: item for item in context.registry.items(job.id)}
    assert (items["https://pictures.test/gone"].state, items["https://pictures.test/gone"].reason) == (
        ItemState.FAILED,
        "it answers 404",
    )
    assert items["ftp://x"].reason == "ftp://x is no https URL"
    assert sum(item.state is ItemState.STORED for item in items.values()) == 6


def test_a_chunk_that_is_done_again_has_the_pictures_of_the_first_time(monkeypatch):
    fetcher = FakeFetcher(pages(3))
    context = fake_context(fetcher=fetcher)
    job = handed_over(context, fetcher.pages)

    def lost(*_args, **_options):
        raise Unavailable("the store went away")

    with monkeypatch.context() as patched:
        patched.setattr(context.store, "insert", lost)
        with pytest.raises(Unavailable):
            embed_chunk(context, job.id, 0)
    hashes = [item.content_hash for item in context.registry.items(job.id)]
    assert all(hashes)
    fetcher.pages = {url: picture("another", 99) for url in fetcher.pages}
    context.queue.deliver(context)
    assert [item.content_hash for item in context.registry.items(job.id)] == hashes
    assert len(fetcher.fetched) == 3


def test_a_picture_whose_bytes_are_gone_is_fetched_anew(monkeypatch):
    fetcher = FakeFetcher(pages(1))
    context = fake_context(fetcher=fetcher)
    job = handed_over(context, fetcher.pages)

    def lost(*_args, **_options):
        raise Unavailable("the store went away")

    with monkeypatch.context() as patched:
        patched.setattr(context.store, "insert", lost)
        with pytest.raises(Unavailable):
            embed_chunk(context, job.id, 0)
    context.blobs.data.clear()
    context.queue.deliver(context)
    assert context.registry.item_counts(job.id)[ItemState.STORED] == 1
    assert len(fetcher.fetched) == 2


def test_the_lease_begins_anew_while_slow_servers_are_waited_for():
    context = fake_context()

    class Slow(FakeFetcher):
        def fetch(self, url: str) -> bytes:
            context.clock.now += 0.9 * context.limits.chunk_lease_s / AT_ONCE
            taken.append(context.registry.claim_chunk(job.id, 0, "another", 60))
            return super().fetch(url)

    taken: list[object] = []
    fetcher = Slow(pages(12))
    object.__setattr__(context, "fetcher", fetcher)
    object.__setattr__(context.limits, "chunk_images", 12)
    job = handed_over(context, fetcher.pages)
    context.queue.deliver(context)
    assert taken == [None] * 12
    assert context.registry.item_counts(job.id)[ItemState.STORED] == 12


def test_without_the_setting_nothing_is_handed_over():
    context = fake_context()
    with pytest.raises(NotPermitted, match="HOLOTYPE_URL_INGEST=true"):
        handed_over(context, pages())


def test_a_worker_without_the_setting_says_so():
    fetcher = FakeFetcher(pages(1))
    context = fake_context(fetcher=fetcher)
    job = handed_over(context, fetcher.pages)
    object.__setattr__(context, "fetcher", None)
    context.queue.deliver(context)
    (item,) = context.registry.items(job.id)
    assert "HOLOTYPE_URL_INGEST=true" in item.reason
