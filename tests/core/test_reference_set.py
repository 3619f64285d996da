from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.reference_set import ReferenceSet
from service.errors import InvalidInput


@given(st.lists(st.text(), max_size=6))
def test_reference_sets_survive_storage_to_the_last_bit(labels: list[str]) -> None:
    projections = np.random.default_rng(len(labels)).standard_normal((len(labels), 3)).astype(np.float32)
    before = ReferenceSet(tuple(f"id {i}" for i in range(len(labels))), tuple(labels), projections)
    after = ReferenceSet.from_bytes(before.to_bytes())
    assert (after.ids, after.labels) == (before.ids, before.labels)
    assert after.projections.dtype == np.float32
    assert after.projections.tobytes() == projections.tobytes()


def test_take_keeps_the_order_and_ignores_strangers() -> None:
    some = ReferenceSet(("a", "b", "c"), ("x", "y", "x"), np.eye(3, dtype=np.float32)).take(["c", "z", "a"])
    assert (some.ids, some.labels) == (("a", "c"), ("x", "x"))
    assert some.projections.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert len(some.take([])) == 0


def test_what_is_no_reference_set_is_refused() -> None:
    with pytest.raises(InvalidInput, match="2 ids, 1 labels and 2 projections"):
        ReferenceSet(("a", "b"), ("x",), np.eye(2, dtype=np.float32))
    with pytest.raises(InvalidInput, match="3 bytes"):
        ReferenceSet.from_bytes(b"abc")
    whole = ReferenceSet(("a",), ("x",), np.eye(1, dtype=np.float32)).to_bytes()
    with pytest.raises(InvalidInput, match="not a stored reference set"):
        ReferenceSet.from_bytes(whole[: len(whole) // 2])
