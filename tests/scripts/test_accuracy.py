"""The benchmark of accuracy on made-up data: who judges, what is handed over, what the figures are called."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from scripts.bench import accuracy
from scripts.bench.accuracy_figures import PictureBootstrap, combined_p
from scripts.bench.accuracy_plots import write_plots
from scripts.bench.accuracy_tables import accuracy_section, print_tables, settings_in, title
from scripts.bench.answering import SPACES
from scripts.bench.cases import (
    domain_cases,
    draw,
    enough,
    held_out,
    holdout_cases,
    recoded,
    shots_cases,
    whole_cases,
    without_classes,
)
from scripts.bench.data_sets import DataSet, Extent, folder_name, settings_of
from scripts.bench.heads import NAMES, behind_heads, head_figures
from scripts.bench.members import MEMBERS
from scripts.bench.story import BUDGET, CANDIDATES, CLASSES, story_cases
from scripts.bench.tables import write_section
from service.core.pipeline import HOLOTYPE
from service.settings import PACKAGED_ENCODER
from tests.core.clusters import clusters

FIGURES = {
    "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "weighted_f1", "top5", "references", "support", "seconds",
}  # fmt: skip


def grouped(sizes, together=2, noise=0.15):
    data = clusters(sizes, noise=noise)
    return replace(data, groups=data.codes * 1000 + np.arange(len(data)) // together)


def handed_over(case):
    return set(case.support.ids) | set(case.tuning.ids)


@pytest.mark.parametrize(
    "cases",
    [
        lambda data: shots_cases(data, 5, 20, (0, 1)),
        lambda data: holdout_cases(data, 20, (0, 1)),
        lambda data: domain_cases(data, [f"d{n % 3}" for n in range(len(data))], 20, 0),
    ],
)
def test_what_judges_is_handed_to_nobody_and_has_its_right_labels(cases):
    data = grouped([20, 24, 30], together=1)
    label = dict(zip(data.ids, data.codes.tolist(), strict=True))
    for case in cases(data):
        assert len(case.judged)
        assert not handed_over(case) & set(case.judged.ids)
        assert [label[one] for one in case.judged.ids] == case.judged.codes.tolist()
        assert [data.ids[row] for row in case.pictures] == list(case.judged.ids)
        known = [*zip(case.support.ids, case.support.codes, strict=True)]
        known += [*zip(case.tuning.ids, case.tuning.codes, strict=True)]
        wrong = sum(label[one] != code for one, code in known)
        assert wrong == round(0.2 * len(known))


def test_a_holdout_takes_a_fifth_and_splits_no_near_duplicates():
    data = grouped([20, 40, 2])
    rows = held_out(data, 0.2, 3)
    assert np.bincount(data.codes[rows], minlength=3).tolist() == [4, 8, 0], "one group alone stays"
    assert not set(data.groups[rows].tolist()) & set(data.groups[~rows].tolist())
    assert not np.array_equal(rows, held_out(data, 0.2, 4))


def test_each_domain_is_judged_by_the_others():
    data = grouped([6, 6], together=1)
    domains = ["b", "a", "c"] * 4
    cases = domain_cases(data, domains, 0, 7)
    place = dict(zip(data.ids, domains, strict=True))
    assert [{place[one] for one in case.judged.ids} for case in cases] == [{"a"}, {"b"}, {"c"}]
    assert [{place[one] for one in case.support.ids} for case in cases] == [{"b", "c"}, {"a", "c"}, {"a", "b"}]


def test_other_pictures_are_judged_under_the_codes_of_the_candidates():
    data = grouped([4, 4, 4])
    others = replace(grouped([2, 3]), classes=(data.classes[2], "unheard of"))
    (case,) = whole_cases(data, others, 0, (0,))
    assert case.judged.codes.tolist() == [2, 2]
    assert case.judged.classes == data.classes
    assert len(case.support) == len(data)
    assert recoded(data, data.classes).codes.tolist() == data.codes.tolist()


def test_nothing_of_a_class_left_out_is_handed_over():
    (case,) = shots_cases(grouped([20] * 10), 5, 0, (3,))
    less, known = without_classes(case, 0.2)
    assert len(less.support.classes) == 8
    assert less.tuning.classes == less.support.classes
    strangers = {less.judged.classes[code] for code in less.judged.codes[~known]}
    assert len(strangers) == 2
    assert not strangers & set(less.support.classes)
    before = [case.judged.classes[code] for code in case.judged.codes]
    assert [less.judged.classes[code] for code in less.judged.codes] == before, "they keep their names"
    assert max(less.judged.codes[known]) < 8


def test_shots_that_the_data_do_not_have_are_no_setting():
    assert enough(clusters([14] * 3), 10)
    assert not enough(clusters([13] * 3), 10)
    settings = settings_of(DataSet("few", grouped([16] * 3)), Extent(True, (0,), (1, 10, 20), 2))
    assert [one.name for one in settings] == [
        *("few.m1.noise0", "few.m1.noise20", "few.m10.noise0", "few.m10.noise20"),
        *("few.heads.noise0", "few.heads.noise20"),
    ]
    assert [one.trusted for one in settings] == [False, False, True, False, False, False]
    assert [one.heads for one in settings] == [False, False, False, False, True, True]


def test_the_story_takes_the_classes_that_are_confused():
    # The last four classes lie apart from each other, the others on one heap.
    apart, heap = clusters([40] * 4, noise=0.01), clusters([40] * 12, noise=3.0)
    data = replace(
        clusters([40] * 16),
        embeddings=np.concatenate([heap.embeddings, apart.embeddings]),
        groups=np.arange(640),
    )
    for case in story_cases(data, None, (0, 1)):
        assert case.support.classes == data.classes[:12]
        assert np.bincount(case.support.codes).tolist() == [CANDIDATES] * CLASSES
        assert np.bincount(case.judged.codes).tolist() == [40 - CANDIDATES] * CLASSES
        assert not handed_over(case) & set(case.judged.ids)
        assert case.budget == BUDGET


def test_without_thirty_pictures_a_class_there_is_no_story():
    assert story_cases(clusters([32] * 12), None, (0,)) == ()
    more = clusters([1] * 12)
    assert len(story_cases(clusters([32] * 12), replace(more, ids=tuple(f"m{n}" for n in range(12))), (0,))) == 1


def test_intervals_are_over_pictures_not_over_answers():
    once = PictureBootstrap([np.arange(50)])
    again = PictureBootstrap([np.arange(50)] * 4)
    right = (np.arange(50) % 2).astype(float)
    low, high = once.interval([right])
    assert 0.3 < low < 0.5 < high < 0.7
    assert again.interval([right] * 4) == pytest.approx((low, high)), "the same pictures asked again tell nothing new"
    assert once.interval([np.ones(50)]) == (1.0, 1.0)


@pytest.mark.parametrize(("tests", "combined"), [([0.03], 0.03), ([0.01, 0.02, 0.9], 0.04), ([0.8, 0.9], 1.0)])
def test_p_values_of_several_seeds(tests, combined):
    assert combined_p(tests) == pytest.approx(combined)


def test_a_folder_gets_a_name_that_figures_can_have(tmp_path):
    assert folder_name(tmp_path / "my.own pictures", {}) == "my-own-pictures"
    assert folder_name(tmp_path / "grocery", {"grocery": None}) == "grocery-2"


@pytest.fixture(scope="module")
def result():
    """A whole run on two made-up sets: in this process, so that it is quick."""
    data = DataSet("made", grouped([20] * 6, noise=0.5))
    domains = DataSet("vendors", grouped([4] * 5, together=1, noise=0.4), domains=("a", "b", "c", "d") * 5)
    extent = Extent(True, (0, 1), (6,), 2)
    figures = {}
    for found in (data, domains):
        for setting in settings_of(found, extent):
            if setting.heads:
                figures |= head_figures(setting, [behind_heads(case) for case in setting.cases])
                continue
            outcomes = [accuracy.answered(case, extent.trials, trusted=setting.trusted) for case in setting.cases]
            figures |= accuracy.setting_figures(setting, outcomes)
            asked = [accuracy.unknown_answers(case, extent.trials) for case in setting.cases if setting.trusted]
            figures |= accuracy.trusted_figures(found.name, outcomes, asked, extent.seeds[0])
    return {
        "benchmark": "accuracy", "encoder": "pixel", "seed": 0, "seeds": 2, "trials": 2, "quick": True, "minutes": 0.1,
        "machine": {"cores": 2, "processor": "made"}, "versions": {"torch": "1", "scikit-learn": "1"},
        "figures": figures,
    }  # fmt: skip


def test_an_earlier_run_of_other_data_is_taken_in(result):
    earlier = {**result, "minutes": 2.0, "figures": {"other.m6.noise0.head.all.accuracy": 0.5}}
    both = accuracy.taken_in(result, earlier)
    assert both["figures"] == result["figures"] | earlier["figures"]
    assert both["minutes"] == 2.1
    with pytest.raises(ValueError, match="trials is 2 in this run and 40 in the earlier one"):
        accuracy.taken_in(result, {**earlier, "trials": 40})
    with pytest.raises(ValueError, match="encoder is pixel in this run and a/b in the earlier one"):
        accuracy.taken_in(result, {**earlier, "encoder": "a/b"})
    del earlier["encoder"]  # as runs were that knew one only
    assert accuracy.taken_in({**result, "encoder": PACKAGED_ENCODER}, earlier)["minutes"] == 2.1


def test_every_member_has_every_figure_in_every_space(result):
    figures = result["figures"]
    assert settings_in(figures) == ["made.m6.noise0", "made.m6.noise20", "vendors.m3.noise0", "vendors.m3.noise20"]
    for setting in settings_in(figures):
        for space in SPACES:
            for member in (*MEMBERS, HOLOTYPE):
                prefix = f"{setting}.{space}.{member}"
                if member == "enn" and f"{prefix}.accuracy" not in figures:
                    continue  # so few pictures may all be edited away
                assert all(f"{prefix}.{figure}" in figures for figure in FIGURES), prefix
                assert figures[f"{prefix}.accuracy_low"] <= figures[f"{prefix}.accuracy"]
                assert figures[f"{prefix}.accuracy"] <= figures[f"{prefix}.accuracy_high"]
                assert (f"{prefix}.ahead" in figures) == (member != HOLOTYPE)
                assert (f"{prefix}.ahead_mcnemar_p" in figures) == (member != HOLOTYPE)
                assert (f"{prefix}.mcnemar_p" in figures) == (member != "all")
    json.dumps(figures)
    assert all(isinstance(value, float) for value in figures.values())
    assert all(re.fullmatch(r"[\w-]+(\.[\w-]+)+", name) for name in figures)


def test_members_of_one_size_keep_as_many_references(result):
    figures = result["figures"]
    for setting in settings_in(figures):
        sizes = {
            figures[f"{setting}.head.{member}.references"]
            for member in ("random", "lowest", "highest", "kmedoids", "facility")
        }
        assert len(sizes) == 1
        assert figures[f"{setting}.head.all.references"] == figures[f"{setting}.head.all.support"]
        assert figures[f"{setting}.head.means.references"] <= 6
        assert figures[f"{setting}.head.logistic.references"] == 0


def test_heads_are_told_beside_the_one_that_leads(result):
    figures = result["figures"]
    for noise in (0, 20):
        for head in NAMES:
            prefix = f"made.heads.noise{noise}.{head}"
            assert 0.0 <= figures[f"{prefix}.accuracy_low"] <= figures[f"{prefix}.accuracy"]
            assert figures[f"{prefix}.accuracy"] <= figures[f"{prefix}.accuracy_high"] <= 1.0
            ahead = figures[f"{prefix}.accuracy"] - figures[f"made.heads.noise{noise}.lda.accuracy"]
            assert figures[f"{prefix}.ahead"] == pytest.approx(ahead)
            assert figures[f"{prefix}.seconds"] >= 0.0
    text = accuracy_section(result, [])
    assert len(re.findall(r"^\| triplets at random, trained ", text, flags=re.MULTILINE)) == 2
    assert re.search(r"^\| made \| 6 \| 20 % ", text, flags=re.MULTILINE), "a row for each number of pictures a class"


def test_trust_is_measured_where_it_can_be(result):
    figures = result["figures"]
    for name in ("tpr", "tnr", "eer", "histogram.same.00", "histogram.different.39"):
        assert 0.0 <= figures[f"made.verify.{name}"] <= 1.0
    shares = [value for name, value in figures.items() if name.startswith("made.verify.histogram.same.")]
    assert sum(shares) == pytest.approx(1.0)
    assert 0.0 <= figures["made.calibration.ece"] <= 1.0


def test_tables_and_plots_are_written_into_the_readme(result, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- results:accuracy -->\nold\n<!-- /results -->\nafter\n")
    plots = write_plots(tmp_path, tmp_path.relative_to(tmp_path) / "figures", result["figures"])
    assert plots
    write_section(readme, "accuracy", accuracy_section(result, plots))
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- /results -->\nafter\n")
    assert "old" not in text
    for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert "<svg" in (tmp_path / path).read_text()
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert any(line.startswith("| Holotype |") for line in tables)
    assert "Best here" in text or "is best here" in text
    once = {path: (tmp_path / path).read_bytes() for path, _ in plots}
    write_plots(tmp_path, tmp_path.relative_to(tmp_path) / "figures", result["figures"])
    assert once == {path: (tmp_path / path).read_bytes() for path, _ in plots}


def test_tables_for_people_name_every_setting(result):
    written = io.StringIO()
    print_tables(Console(width=180, file=written), result)
    shown = written.getvalue()
    for setting in settings_in(result["figures"]):
        assert title(setting) in shown


def test_labels_are_wrong_only_where_they_were_asked_to_be():
    data = grouped([10, 10])
    nobody = data.take(np.zeros(0, dtype=np.int64))
    clean = draw((data, nobody), data, np.arange(20), 1)
    assert np.array_equal(clean.support.codes, data.codes)
    noisy = draw((data, nobody), data, np.arange(20), 1, noise=20)
    assert int((noisy.support.codes != data.codes).sum()) == 4
