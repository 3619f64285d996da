"""Ids by their first characters."""

from __future__ import annotations

from typing import Any, cast

import pytest

from service.cli.backend import Backend
from service.cli.short_ids import whole_ids
from service.errors import InvalidInput

IDS = [f"{start}-5d0a-9a55-0a7c-8e1f2b3d00112233"[:36] for start in ("5c0e7c1ea", "5c0e7c1eb", "0a7c8e1f2")]


class Listing:
    """A catalogue of three examples, which counts how often it is listed."""

    listed = 0

    def example_ids(self, name: str) -> list[str]:
        assert name == "fruit"
        self.listed += 1
        return IDS


def whole(given: list[str], listing: Any = None) -> list[str]:
    return whole_ids(cast("Backend", listing or Listing()), "fruit", given)


def test_a_beginning_that_one_id_has_is_that_id() -> None:
    assert whole(["5c0e7c1eb", "0a7c8e1f"]) == [IDS[1], IDS[2]]


@pytest.mark.parametrize("given", ["0a7c8e1", "ffffffffff", "", IDS[2] + "0"])
def test_what_is_no_beginning_is_left_to_the_command(given: str) -> None:
    assert whole([given, "0a7c8e1f"]) == [given, IDS[2]]


def test_a_beginning_of_several_is_refused_with_their_names() -> None:
    with pytest.raises(InvalidInput, match="2 examples' ids start with '5c0e7c1e'") as refused:
        whole(["0a7c8e1f", "5c0e7c1e"])
    assert all(one in refused.value.message for one in IDS[:2])
    assert refused.value.details["examples"] == IDS[:2]


def test_nothing_is_listed_for_whole_ids() -> None:
    listing = Listing()
    assert whole(IDS, listing) == IDS
    assert listing.listed == 0
