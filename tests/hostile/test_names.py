"""Names and numbers that nobody means well with, in every place of every route: taken as they are, or refused."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from service.records import Quotas
from service.usecases.tenants import create_tenant
from tests.api.conftest import acme, api, context, settings  # noqa: F401 -- fixtures
from tests.api.filled import ingest, write_fruit
from tests.api.operations import operations
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


@pytest.mark.parametrize("name", [name for name in NAMES if name.strip()])
def test_names_that_are_taken_are_what_they_were(acme, name):  # noqa: F811
    """Nearly anything may be a name: it is stored as it is, or refused."""
    made = acme.post("/v1/catalogues", content=json.dumps({"name": name}), headers={"Content-Type": "application/json"})
    if made.status_code == 201:
        assert made.json()["name"] == name
        assert name in [one["name"] for one in acme.get("/v1/catalogues").json()["items"]]
    else:
        assert made.status_code == 422
