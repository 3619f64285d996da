"""The benchmark of searching: what it times, how it tells growth, and a run of each part on a few points."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.bench import search, search_points, search_timing, selection_speed
from scripts.bench.search_points import Catalogue
from scripts.bench.search_timing import exponent, in_turns, quantiles
from scripts.bench.selection_speed import against_optuna, beside, chosen_in, holdings_of
from scripts.bench.speed_tables import search_section, speed_section
from service.adapters.vector_edge import EdgeStore
from service.core.parts import count_parts


def test_an_exponent_is_the_slope_of_logarithms() -> None:
    assert exponent([10, 100, 1000], [3, 3, 3]) == pytest.approx(0)
    assert exponent([10, 100, 1000], [1, 10, 100]) == pytest.approx(1)
    assert exponent([1, 4, 16], [2, 4, 8]) == pytest.approx(0.5)


def test_ways_are_called_by_turns(monkeypatch) -> None:
    monkeypatch.setattr(search_timing, "TURN_S", 0.0)
    called: list[str] = []
    waits = in_turns({name: lambda name=name: called.append(name) for name in "ab"})
    assert called == ["a", "b"] * 5
    assert [len(each) for each in waits.values()] == [4, 4]
    assert quantiles(np.array([0.001, 0.002, 0.003]), 64)["per_s"] == pytest.approx(32_000)


def test_numpy_and_the_store_answer_alike(tmp_path) -> None:
    store = EdgeStore(tmp_path)
    catalogue = Catalogue.new(store, 0)
    catalogue.grow(store, 300)
    catalogue.flag(store, 200)
    asking = Catalogue(catalogue.partition, np.random.default_rng(5)).asking(store, 8)
    other = Catalogue(catalogue.partition, np.random.default_rng(5))
    other.references, other.starts = catalogue.references, catalogue.starts
    answers, codes = asking(), other.product(8)()
    assert [one.label for one in answers] == [f"class {code:03d}" for code in codes]
    store.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
def test_a_run_on_few_points_has_every_figure_and_fills_the_readme(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(search_timing, "TURN_S", 0.001)
    for name, value in {"REFERENCES": 40, "REFERENCE_STEPS": (40, 120), "HEADLINE": 120, "OTHERS": 240}.items():
        monkeypatch.setattr(search, name, value)
    for name, value in {"CATALOGUE_STEPS": (1, 4), "QUICK_POINTS": 1_200, "LOCAL_POINTS": 400}.items():
        monkeypatch.setattr(search, name, value)
    monkeypatch.setattr(search, "POINT_STEPS", (300, 600, 1_200))
    monkeypatch.setattr(search_points, "QUERIES", 64)
    monkeypatch.delenv("HOLOTYPE_QDRANT_URL", raising=False)
    told = search.Console(quiet=True)
    figures = search.run(tmp_path, 0, (300, 600, 1_200), told)
    for way, sizes in {
        "search": (120, 240, 1), "search.hot": (120, 240, 1), "search.numpy": (120, 240, 1),
        "search.unindexed": (40, 1_200, 1), "search.local": (40, 400, 1),
    }.items():  # fmt: skip
        for batch in search.BATCHES:
            end = search.named(*sizes, batch)
            assert (
                0 < figures[f"{way}.p50_ms.{end}"] <= figures[f"{way}.p95_ms.{end}"] <= figures[f"{way}.p99_ms.{end}"]
            )
    assert f"search.p50_ms.{search.named(40, 240, 4, 1)}" in figures
    assert {"search.exponent.points", "search.exponent.catalogues", "search.ratio_to_numpy"} <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())
    result = {
        "figures": figures, "quick": True, "machine": {"cores": 2, "processor": "p"},
        "versions": {"qdrant-edge-py": "1", "numpy": "2"},
    }  # fmt: skip
    assert search_section(result).count("\n|") == 2 + sum(".p50_ms." in name for name in figures)


def test_the_speed_of_choosing_is_told_beside_the_others(monkeypatch) -> None:
    holdings = holdings_of(5, (8, 3, 3), 0)
    assert (len(holdings.support), len(holdings.tuning), len(holdings.holdout)) == (40, 15, 15)
    assert not set(holdings.support.ids) & set(holdings.tuning.ids + holdings.holdout.ids)
    assert count_parts(holdings_of(5, (8, 3, 3), 0, 3).support.embeddings) == 3
    searched, whole, references = chosen_in(holdings, 2, 0)
    assert 0 < searched.wall_s <= whole.wall_s
    assert 0 < searched.cpu_s <= whole.cpu_s
    assert 5 <= references <= 20
    figures = against_optuna(holdings, 0, 0.5) | beside(holdings, references, 0)
    assert figures["select.ratio_to_optuna.classes5"] > 0
    assert 0 < figures["select.facility.accuracy.classes5"] <= 1
    assert (figures["select.optuna_behind.classes5"] <= 0) == bool(figures["select.optuna_reached.classes5"])
    figures |= {"select.seconds.classes5": whole.wall_s, "select.search_seconds.classes5": searched.wall_s}
    figures |= {"select.cpu_seconds.classes5": whole.cpu_s, "select.search_cpu_seconds.classes5": searched.cpu_s}
    figures |= {"select.peak_mb": selection_speed.peak_mb(), "select.threads": 1}
    figures |= {"select.exponent.classes": 1.0, "select.exponent.images": 1.0}
    result = {"figures": figures, "quick": False, "machine": {"cores": 2, "processor": "p"}}
    for name in ("seconds", "search_seconds", "cpu_seconds", "search_cpu_seconds"):
        figures[f"select.{name}.classes5parts3"] = figures[f"select.{name}.classes5"]
    section = speed_section(result)
    assert "| 5 |" in section
    assert "| 5, embeddings of 3 parts |" in section
