"""Both clients against the real application: the journey, and a method for every route."""

import asyncio
import inspect
import io
import json
import re
import zipfile
from pathlib import Path

import pytest

from scripts.description import FILE
from service.client import ApiProblem, AsyncHolotype, Holotype, Picture, Upload
from service.client.routes.catalogues import export_archive
from service.client.routes.jobs import job_events
from service.client.surface import Method, Surface
from service.errors import CatalogueNotFound, NotPermitted
from tests.cli.conftest import running_server
from tests.conftest import write_pictures

NOT_OF_A_CLIENT = {"open_session", "close_session"}
"""The page's own login: a client sends its key with each request."""


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path / "data", "acme") as found:
        yield found


def read(folder):
    return [(path.name, path.read_bytes()) for path in sorted(folder.rglob("*.*"))]


def test_the_journey_blocking(server, tmp_path):
    photos = write_pictures(tmp_path / "photos", classes=3, each=8)
    new = read(write_pictures(tmp_path / "new", classes=3, each=1, seed=5))
    seen = []
    with Holotype(*server) as holotype:
        with pytest.raises(CatalogueNotFound) as refused:
            holotype.show_catalogue("fruit")
        assert isinstance(refused.value, ApiProblem)
        assert holotype.me().tenant == "acme"
        holotype.create_catalogue("fruit", "pixel")
        job = holotype.wait(holotype.upload_folder("fruit", photos).id, lambda *progress: seen.append(progress))
        assert job.counts == {"stored": 24}
        assert seen[-1] == ("embedding", 24, 24)
        chosen = holotype.wait(holotype.optimise("fruit", {"trials": 1}).id).result
        answers = holotype.classify("fruit", new)
        assert [answer.label for answer in answers] == ["class-00", "class-01", "class-02"]
        assert {answer.selection for answer in answers} == {chosen["selection"]}
        examples = list(holotype.each(Holotype.list_examples, "fruit", limit=5))
        assert len({example.id for example in examples}) == 24
        assert holotype.example_thumbnail("fruit", examples[0].id)[:3] == b"\xff\xd8\xff"
        file = io.BytesIO()
        assert holotype.export_archive("fruit", file) == len(file.getvalue())
        (tmp_path / "fruit.zip").write_bytes(file.getvalue())
        assert zipfile.ZipFile(file).testzip() is None
        assert sum(holotype.import_archive("copy", tmp_path / "fruit.zip").labels.values()) == 24
        assert [one.name for one in holotype.each(Holotype.list_catalogues, limit=1)] == ["copy", "fruit"]
        bulk = Upload(name="fruit", classify=True)
        job = holotype.upload(bulk, [Picture(source=name, content=data) for name, data in new])
        results = holotype.job_results(holotype.wait(job.id).id)
        assert [one.label for one in results] == [answer.label for answer in answers]
        holotype.delete_catalogue("fruit")


def test_the_journey_awaiting(server, tmp_path):
    photos = write_pictures(tmp_path / "photos", classes=2, each=4)
    new = read(write_pictures(tmp_path / "new", classes=2, each=1, seed=5))

    async def journey():
        async with AsyncHolotype(*server) as holotype:
            await holotype.create_catalogue("fruit")
            job = await holotype.wait((await holotype.upload_folder("fruit", photos)).id)
            answers, shown = await asyncio.gather(holotype.classify("fruit", new), holotype.show_catalogue("fruit"))
            examples = [one async for one in holotype.each(AsyncHolotype.list_examples, "fruit", limit=3)]
            file = io.BytesIO()
            assert await holotype.export_archive("fruit", file, images=False) == len(file.getvalue())
            with pytest.raises(CatalogueNotFound):
                await holotype.export_archive("none", file)
            return job, answers, shown, examples

    job, answers, shown, examples = asyncio.run(journey())
    assert job.counts == {"stored": 8}
    assert [answer.label for answer in answers] == ["class-00", "class-01"]
    assert shown.labels == {"class-00": 4, "class-01": 4}
    assert len(examples) == 8


def test_sources_labels_splits_and_metadata_arrive_as_they_are(server):
    pictures = [
        Picture(
            source='odd "name" é;\\x.png', content=b"one", label="a b/c", split="tuning", metadata={"shop": "north"}
        ),
        Picture(source="same.png", content=b"two", label="x"),
        Picture(source="same.png", content=b"two", label="y"),
    ]
    with Holotype(*server) as holotype:
        holotype.create_catalogue("odd")
        job = holotype.upload(Upload(name="odd"), pictures)
        items = list(holotype.each(Holotype.list_items, job.id))
    assert [(one.source, one.label) for one in items] == [(one.source, one.label) for one in pictures]
    assert items[0].metadata == {"shop": "north"}


def test_a_key_of_another_scope_is_not_permitted(server):
    with Holotype(*server) as holotype:
        reader = holotype.create_key("acme", "reader", ["read"])
    assert reader.key is not None
    with Holotype(server[0], reader.key) as holotype, pytest.raises(NotPermitted) as refused:
        holotype.create_catalogue("fruit")
    assert refused.value.details["needed"] == ["write"]


def made(method):
    """The call that a method makes of arguments that name nothing."""
    samples = {
        "name": "n",
        "pictures": [("p", b"x")],
        "items": [{"url": "https://x"}],
        "quotas": {},
        "scopes": ["read"],
    }
    given = {}
    for name, parameter in inspect.signature(method.make).parameters.items():
        if parameter.default is parameter.empty:
            given[name] = samples.get(name, "x")
    if method.make.__name__ in {"add_pictures", "evaluate"}:
        given["pictures"] = []
    if "first" in given:
        given["first"] = ("p", b"x")
    if "archive" in given:
        given["archive"] = Path("x.zip")
    return method.make(**given)


def test_there_is_a_method_for_every_route():
    paths = json.loads(FILE.read_text(encoding="utf-8"))["paths"]
    calls = [made(one) for one in vars(Surface).values() if isinstance(one, Method)]
    calls += [export_archive("n"), job_events("j")]
    missing = [
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if operation["operationId"] not in NOT_OF_A_CLIENT
        and not any(call.method == method.upper() and template(path).fullmatch(call.path) for call in calls)
    ]
    assert len(paths) > 50
    assert missing == []


def template(path):
    """What a path of the description stands for."""
    return re.compile(re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(path)))
