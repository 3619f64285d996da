"""The contract of `ports.PromptRegistry`."""

from __future__ import annotations

import numpy as np
import pytest

from service.errors import CatalogueNotFound, InvalidInput
from service.ports import Registry
from service.records import Catalogue, ClassPrompts


def words(label: str, *templates: str, seed: int = 0) -> ClassPrompts:
    row = np.random.default_rng(seed).standard_normal(5).astype("<f4")
    return ClassPrompts(label=label, templates=templates or ("a {label}",), embedding=row.tobytes(), made_at=3.5)


def test_prompts_come_by_label_as_they_were_put(registry: Registry, catalogue: Catalogue) -> None:
    put = [words("rook", "a {label}", 'ü "quoted"\u2028 text', seed=1), words("owl", seed=2)]
    registry.put_prompts(catalogue.id, put)
    assert registry.prompts(catalogue.id) == [put[1], put[0]]
    assert registry.prompts("x") == []
    registry.put_prompts(catalogue.id, [words("owl", "another", seed=3)])
    assert registry.prompts(catalogue.id) == [words("owl", "another", seed=3), put[0]]
    registry.put_prompts(catalogue.id, [])
    with pytest.raises(CatalogueNotFound):
        registry.put_prompts("x", put)


def test_every_change_makes_another_version(registry: Registry, catalogue: Catalogue) -> None:
    assert registry.prompts_version(catalogue.id) == ""
    before = ""
    steps = [
        lambda: registry.put_prompts(catalogue.id, [words("owl"), words("rook")]),
        lambda: registry.put_prompts(catalogue.id, [words("owl")]),
        lambda: registry.delete_prompts(catalogue.id, "owl"),
        lambda: registry.put_prompts(catalogue.id, [words("jay")]),
        lambda: registry.rename_prompts(catalogue.id, "jay", "crow"),
        lambda: registry.rename_prompts(catalogue.id, "crow", "rook"),
        lambda: registry.put_prompts(catalogue.id, [words("rook")]),
    ]
    for step in steps:
        step()
        now = registry.prompts_version(catalogue.id)
        assert now not in {"", before}
        assert now == registry.prompts_version(catalogue.id)
        before = now
    assert registry.delete_prompts(catalogue.id, "rook")
    assert registry.prompts_version(catalogue.id) == ""


def test_prompts_are_deleted_once(registry: Registry, catalogue: Catalogue) -> None:
    registry.put_prompts(catalogue.id, [words("owl"), words("rook")])
    assert registry.delete_prompts(catalogue.id, "owl")
    assert not registry.delete_prompts(catalogue.id, "owl")
    assert not registry.delete_prompts("x", "rook")
    assert [one.label for one in registry.prompts(catalogue.id)] == ["rook"]


def test_renamed_prompts_give_way_to_those_that_are_there(registry: Registry, catalogue: Catalogue) -> None:
    registry.put_prompts(catalogue.id, [words("owl", seed=1), words("rook", seed=2)])
    registry.rename_prompts(catalogue.id, "owl", "crow")
    assert registry.prompts(catalogue.id) == [words("crow", seed=1), words("rook", seed=2)]
    registry.rename_prompts(catalogue.id, "crow", "rook")
    registry.rename_prompts(catalogue.id, "nobody", "jay")
    registry.rename_prompts(catalogue.id, "rook", "rook")
    assert registry.prompts(catalogue.id) == [words("rook", seed=2)]


def test_prompts_go_with_their_catalogue_and_stay_out_of_others(registry: Registry, catalogue: Catalogue) -> None:
    other = registry.open_import("11111111-1111-4111-8111-111111111111", "tenant", "pixel", None, 0)
    registry.put_prompts(catalogue.id, [words("owl")])
    registry.put_prompts(other.id, [words("rook")])
    assert [one.label for one in registry.prompts(other.id)] == ["rook"]
    registry.delete_catalogue(other.id)
    assert registry.prompts(other.id) == []
    assert [one.label for one in registry.prompts(catalogue.id)] == ["owl"]


def test_a_label_that_cannot_be_stored_is_refused(registry: Registry, catalogue: Catalogue) -> None:
    with pytest.raises(InvalidInput):
        registry.put_prompts(catalogue.id, [words("a\0b")])
