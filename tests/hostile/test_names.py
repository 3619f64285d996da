"""Names and numbers that nobody means well with, in every place of every route: taken as they are, or refused."""

from __future__ import annotations

import json
from collections import Counter

from service.records import ItemState, JobState, Quotas
from service.usecases.labels import checked_label
from service.usecases.tenants import create_tenant
from tests.api.conftest import acme, api, context, settings  # noqa: F401 -- fixtures
from tests.api.filled import finished, ingest, picture, write_fruit
from tests.api.operations import operations
from tests.hostile import guarded
from tests.hostile.holdings import Reader

NAMES = (
    "../../etc/passwd",
    "..",
    ".",
    "%2e%2e%2f",
    "C:\\x",
    "/dev/zero",
    "'; DROP TABLE holotype_tenants;--",
    '" OR 1=1',
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "\x00",
    "a\x00b",
    "\x1b[31m",
    "a\r\nSet-Cookie: x=y",
    "\u202egpj.exe",
    "\u2028",
    "é" * 2000,
    "a" * 4096,
    "\ud800",
    "\U0001d56c" * 300,
    "",
    " ",
    "null",
)
JSON = {"Content-Type": "application/json"}
NUMBERS = (-1, 0, 2**31, 2**63, 2**64, 10**400, 1e308, -1e308, float("nan"), float("inf"), True, False, "7", "1e3", 0.5)
STREAMS = {"follow_job"}
LONGEST = 4000
"""Characters of a refusal, whatever is refused."""


def _values(in_path, turn) -> tuple[object, ...]:
    """Some of all for each place, others for the next: every value meets many places, and CI has not all day."""
    return (NAMES[turn % 3 :: 3]) if in_path else (*NAMES[turn % 5 :: 5], *NUMBERS[turn % 3 :: 3])


def test_whatever_stands_where_a_name_or_a_number_does(api, acme, settings, tmp_path):  # noqa: F811
    create_tenant(api.context, "other", Quotas())
    ingest(api.context, "other", "fruit", write_fruit(tmp_path / "fruit", 3))
    reader = Reader(api.context, settings)
    before = reader.holdings("other")
    acme.post("/v1/catalogues", json={"name": "fruit"})
    counts: Counter[int] = Counter()
    for operation in operations(api.client.app):
        if operation.name in STREAMS:
            continue
        places = operation.names()
        for turn, name in enumerate(sorted(places)):
            for value in _values(name in operation.in_path, turn):
                values = dict.fromkeys(operation.in_path, "fruit") | {name: value}
                try:
                    answer = operation.ask(acme, values)
                except (UnicodeEncodeError, ValueError):
                    continue  # no client can send it so
                counts[answer.status_code] += 1
                said = f"{operation.name}, {name}={value!r:.60}: {answer.status_code} {answer.text[:300]}"
                assert answer.status_code < 500, said
                assert "Set-Cookie: x=y" not in str(answer.headers), said
                if answer.status_code >= 400:
                    assert len(answer.text) < LONGEST, said
                    assert answer.headers["content-type"] == "application/problem+json", said
                    assert len(answer.json()["detail"]) > 10, said
    assert sum(counts.values()) > 700
    assert counts[404] > 50
    assert counts[422] + counts[400] > 100
    after = reader.holdings("other")
    assert (after.rows, after.blobs, after.points) == (before.rows, before.blobs, before.points)
    reader.close()


def taken_or_refused(answer, said: str) -> bool:
    """Was it taken? A refusal is a problem that says something."""
    if answer.status_code in (200, 201, 202, 204):
        return True
    assert answer.status_code in (400, 404, 405, 409, 413, 422, 428), (
        f"{said}: {answer.status_code} {answer.text[:300]}"
    )
    assert answer.headers["content-type"] == "application/problem+json", said
    assert 10 < len(answer.json()["detail"]) < LONGEST, said
    return False


def test_what_is_named_so_over_http_is_named_so_or_refused(api, acme):  # noqa: F811
    """Tenants, catalogues, keys, labels and pictures."""
    taken: Counter[str] = Counter()
    for name in NAMES:
        made = acme.post("/v1/catalogues", content=json.dumps({"name": name}), headers=JSON)
        if taken_or_refused(made, f"catalogue {name!r}"):
            taken["catalogue"] += 1
            assert name in [one["name"] for one in acme.get("/v1/catalogues").json()["items"]]
        made = acme.post("/v1/tenants", content=json.dumps({"name": name}), headers=JSON)
        if taken_or_refused(made, f"tenant {name!r}"):
            taken["tenant"] += 1
            assert acme.get(f"/v1/tenants/{name}").json()["name"] == name
        body = json.dumps({"name": name, "scopes": ["read"]})
        made = acme.post("/v1/tenants/acme/keys", content=body, headers=JSON)
        if taken_or_refused(made, f"key {name!r}"):
            taken["key"] += 1
            assert made.json()["name"] == name
            assert name in [one["name"] for one in acme.get("/v1/tenants/acme/keys").json()["items"]]
    assert taken == {"catalogue": 1, "tenant": 1, "key": 11}


def test_pictures_and_labels_of_any_name_over_http(api, acme):  # noqa: F811
    acme.post("/v1/catalogues", json={"name": "fruit"})
    sendable = [name for name in NAMES if not any("\ud800" <= one <= "\udfff" for one in name)]
    for name in (one for one in sendable if len(one) > 1000):
        files = [("pictures", (f"{name}/1.png", picture("apple", 1), "image/png"))]
        answer = acme.post("/v1/catalogues/fruit/ingests", files=files, headers={"Idempotency-Key": "long"})
        assert not taken_or_refused(answer, f"picture {name!r}")
    names = [one for one in sendable if len(one) <= 1000]
    files = [("pictures", (f"{name}/p{n}.png", picture("apple", n), "image/png")) for n, name in enumerate(names)]
    files += [("pictures", (f"lime/{name}.png", picture("lime", n), "image/png")) for n, name in enumerate(names)]
    started = acme.post("/v1/catalogues/fruit/ingests", files=files, headers={"Idempotency-Key": "names"})
    assert started.status_code == 202, started.text
    job = finished(api.context, started.json()["id"])
    hidden = sum(name in ("", ".", "..") for name in names)  # lime/.png, lime/..png: what begins with a dot is left out
    assert (job.state, job.total) == (JobState.DONE, len(files) - hidden)
    items = list(api.context.registry.items(job.id))
    for item in items:
        if item.state is ItemState.FAILED:
            assert guarded.is_a_sentence(item.reason), item
    stored = acme.get("/v1/catalogues/fruit/examples?limit=100").json()["items"]
    assert len(stored) == sum(item.state is ItemState.STORED for item in items) > len(files) // 2
    for one in stored:
        assert checked_label(one["label"]) == one["label"]
        for what in ("image", "thumbnail"):
            answer = acme.get(f"/v1/catalogues/fruit/examples/{one['id']}/{what}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("image/")
            assert "Set-Cookie" not in answer.headers
    listed = [one["label"] for one in acme.get("/v1/catalogues/fruit/labels").json()["items"]]
    assert {"<script>alert(1)<", "{{7*7}}${7*7}", "%2e%2e%2f"} <= set(listed)  # a slash ends a folder
    example = stored[0]
    for name in NAMES:
        place = f"/v1/catalogues/fruit/examples/{example['id']}"
        changed = acme.patch(place, content=json.dumps({"label": name}), headers=JSON)
        if taken_or_refused(changed, f"label {name!r}"):
            assert changed.json()["label"] == checked_label(name)
            assert acme.get(place).json()["label"] == checked_label(name)
