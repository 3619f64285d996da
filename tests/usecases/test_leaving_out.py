"""What is nearest when some examples are left out is what is nearest when they were never there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.vector_exact import ExactStore
from service.adapters.vector_ranking import best_classes, best_of_labels
from service.records import Example, ExampleState, Split
from service.usecases.leaving_out import leaving_out
from tests.contracts.vector_stores import new_partition, points_of, unit_rows

FLAGGED = {"selection_a": "chosen"}
EXAMPLE = Example(
    id="", catalogue_id="", label="", split=Split.SUPPORT, state=ExampleState.ACTIVE, content_hash="", source="",
    width_px=8, height_px=8, perceptual_hash="", created_at=0.0,
)  # fmt: skip


@given(
    seed=st.integers(0, 2**16),
    gone=st.integers(1, 12),
    per_label=st.integers(1, 3),
    labels=st.integers(1, 6),
    classes=st.integers(1, 20),
)
@settings(max_examples=60, deadline=None)
def test_it_is_as_if_they_were_never_there(seed: int, gone: int, per_label: int, labels: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    names = [f"c{code:02d}" for code in random.integers(0, classes, 40)]
    rows, queries = unit_rows(40, seed=seed), unit_rows(3, seed=seed + 1)
    points = points_of(names, rows)
    left = random.permutation(40)[:gone]
    whole, less = ExactStore(), ExactStore()
    answers = []
    for store, kept in ((whole, points), (less, [one for at, one in enumerate(points) if at not in left])):
        partition = new_partition(store)
        store.insert(partition, kept)
        place = [points.index(one) for one in kept]
        store.flag(partition, "a", "chosen", [one.id for one in kept], rows[place])
        seen = leaving_out(store, [replace(EXAMPLE, id=points[at].id, label=names[at]) for at in left])
        found = seen.nearest_per_label(partition, "projection_a", queries, FLAGGED, per_label, labels)
        answers.append([best_classes(best_of_labels(one, per_label), labels) for one in found])
        nearest = seen.nearest(partition, "projection_a", queries, FLAGGED, 5)
        answers[-1] += nearest
    without, never = ([[one.example_id for one in row] for row in found] for found in answers)
    assert without == never


def test_a_class_of_one_near_picture_and_a_far_one_still_leads() -> None:
    """The mean of more than one best similarity would put it last."""
    store = ExactStore()
    partition = new_partition(store)
    axes = np.eye(8, dtype=np.float32)
    ahead, behind = 0.95 * axes[0] + np.sqrt(1 - 0.95**2) * axes[1], -axes[0]
    others = [0.6 * axes[0] + 0.8 * axes[2 + code % 6] for code in range(12)]
    names = ["best", "best", *(f"c{code:02d}" for code in range(12)), *(f"c{code:02d}" for code in range(12)), "copy"]
    rows = np.stack([ahead, behind, *others, *others, axes[0]]).astype(np.float32)
    points = points_of(names, rows)
    store.insert(partition, points)
    store.flag(partition, "a", "chosen", [one.id for one in points], rows)
    seen = leaving_out(store, [replace(EXAMPLE, id=points[-1].id, label="copy")])
    found = seen.nearest_per_label(partition, "projection_a", axes[:1], FLAGGED, 1, 10)[0]
    assert (found[0].label, found[0].example_id) == ("best", points[0].id)
    assert "copy" not in {one.label for one in found}
