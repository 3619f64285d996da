"""The benchmark of selections on tiny made-up data: who judges, which labels are wrong, what the figures are called."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scripts.bench import selection
from scripts.bench.selection import figures_of, interval_by_picture, one_run, split, with_wrong_labels
from service.core.baselines import MEMBERS
from service.core.evaluation import evaluate
from service.core.pipeline import HOLOTYPE, RAW
from tests.core.clusters import clusters

FIGURES = {"accuracy", "accuracy_low", "accuracy_high", "macro_f1", "weighted_f1", "top5", "references", "support"}


def grouped(sizes, together=2):
    data = clusters(sizes, noise=0.15)
    return replace(data, groups=data.codes * 1000 + np.arange(len(data)) // together)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("together", [1, 2, 3])
def test_the_split_is_disjoint_by_groups(seed, together):
    data = grouped([24, 60, 6, 7], together)
    parts = split(data, 5, seed)
    rows = np.concatenate(parts)
    assert len(set(rows.tolist())) == len(rows)
    groups = [set(data.groups[part].tolist()) for part in parts]
    assert not groups[0] & groups[1]
    assert not groups[2] & (groups[0] | groups[1])
    again = split(data, 5, seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


def test_shots_are_bounded_and_small_classes_are_shared_out():
    data = clusters([100, 10])
    support, tuning, holdout = (np.bincount(data.codes[part]).tolist() for part in split(data, 20, 0))
    assert (support, tuning, holdout) == ([20, 6], [10, 2], [selection.MAX_HOLDOUT, 2])


def test_seeds_split_differently():
    data = clusters([20, 20])
    assert not np.array_equal(split(data, 5, 0)[0], split(data, 5, 1)[0])


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.2, 12), (1.0, 60)])
def test_exactly_the_share_of_labels_is_wrong(share, wrong):
    data = grouped([20, 20, 20])
    noisy = with_wrong_labels(data, share, 4)
    changed = noisy.codes != data.codes
    assert changed.sum() == wrong
    assert set(noisy.codes.tolist()) <= {0, 1, 2}
    assert np.array_equal(noisy.groups[~changed], data.groups[~changed])
    alone = noisy.groups[changed].tolist()
    assert len(set(alone)) == wrong
    assert not set(alone) & set(data.groups.tolist()), "it looks like nothing else of its new class"
    assert np.array_equal(noisy.embeddings, data.embeddings)
    assert np.array_equal(with_wrong_labels(data, share, 4).codes, noisy.codes)


@pytest.fixture(scope="module")
def runs():
    data = clusters([22, 22, 22], noise=0.15)
    return data, [one_run(data, 6, 20, seed, 2) for seed in (0, 1)]


def test_the_holdout_keeps_its_true_labels(runs):
    data, each = runs
    for seed, run in enumerate(each):
        holdout = split(data, 6, seed)[2]
        assert np.array_equal(run["comparison"].truth, data.codes[holdout])
        assert np.array_equal(run["pictures"], holdout)


def test_figures_are_named_by_setting_space_and_member(runs):
    data, each = runs
    figures = figures_of(each, data.classes, "made.m6.noise20")
    spaces = {
        "head": {HOLOTYPE, *MEMBERS},
        "head_no_pull": {HOLOTYPE, "all_1nn", *MEMBERS},
        "raw": {HOLOTYPE, *MEMBERS},
    }
    expected = {
        f"{space}.{member}.{name}" for space, members in spaces.items() for member in members for name in FIGURES
    }
    expected |= {f"head.{HOLOTYPE}.seconds", "served.accuracy", "gate_passed"}
    assert set(figures) == {f"made.m6.noise20.{name}" for name in expected}
    json.dumps(figures)


def test_figures_are_means_over_the_seeds(runs):
    data, each = runs
    figures = figures_of(each, data.classes, "p")
    for member in (HOLOTYPE, "all", "random"):
        own = [evaluate(run["comparison"].truth, run["comparison"].scores[member], data.classes) for run in each]
        name = f"p.head.{member}"
        assert figures[f"{name}.accuracy"] == pytest.approx(np.mean([one.accuracy for one in own]))
        assert figures[f"{name}.macro_f1"] == pytest.approx(np.mean([one.macro_f1 for one in own]))
        assert figures[f"{name}.accuracy_low"] <= figures[f"{name}.accuracy"] <= figures[f"{name}.accuracy_high"]
    assert figures["p.head.all.references"] == figures["p.head.all.support"] == 18
    assert RAW not in each[0]["raw"]


def test_served_is_the_choice_where_the_gate_let_it_pass_and_all_where_not(runs):
    data, each = runs
    for gates in ((True, True), (False, True), (False, False)):
        told = [replace_gate(run, gate) for run, gate in zip(each, gates, strict=True)]
        figures = figures_of(told, data.classes, "p")
        own = [
            evaluate(
                run["comparison"].truth, run["comparison"].scores[HOLOTYPE if run["gate"] else "all"], data.classes
            )
            for run in told
        ]
        assert figures["p.served.accuracy"] == pytest.approx(np.mean([one.accuracy for one in own]))
        assert figures["p.gate_passed"] == np.mean(gates)


def replace_gate(run, gate):
    return {**run, "gate": gate}


def test_an_interval_does_not_shrink_by_asking_the_same_pictures_again():
    right, pictures = np.arange(40) % 4 > 0, np.arange(40)
    once = interval_by_picture([right], [pictures])
    assert interval_by_picture([right] * 5, [pictures] * 5) == pytest.approx(once)
    low, high = interval_by_picture([np.tile(right, 5)], [np.arange(200)])
    assert high - low < 0.6 * (once[1] - once[0])
    assert once[0] < 0.75 < once[1]
