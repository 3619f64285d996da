from __future__ import annotations

import numpy as np
import pytest

from service.core.verification import Pairs, pair_histogram
from tests.adapters.report_cases import bare_report, full_report
from tests.adapters.test_report_html import rendered

CURVE = [[0.1, 0.0], [0.6, 0.02], [1.0, 0.2]]
BINS = [{"confidence": 0.3, "accuracy": 0.4, "answers": 10}, {"confidence": 0.9, "accuracy": 0.85, "answers": 10}]
PARTS = {
    "risk_coverage": {"mixed": CURVE, "known": CURVE},
    "reliability": {"served": BINS, "temperature": BINS[:1]},
    "unknown_roc": {"trust": [[0.0, 0.0], [0.2, 0.9], [1.0, 1.0]], "raw": [[0.0, 0.0], [1.0, 1.0]]},
    "pairs": pair_histogram(
        Pairs(np.array([0.9, 0.8, 0.1, 0.2]), np.arange(4) < 2),
        {"otsu": 0.5, "eer": 0.45},
    ),
}
RATES = {"threshold": 0.5, "tpr": 0.912, "tnr": 0.834}
FIGURES = {
    "ece": 0.0123,
    "auroc": 0.867,
    "raw_auroc": 0.742,
    "fpr95": 0.674,
    "raw_fpr95": 0.903,
    "verification": {
        "pictures": {
            "otsu": RATES,
            "eer": RATES,
            "eer_rate": 0.1,
            "same": 812,
            "different": 20_000,
            "measured_on": "holdout",
        }
    },
}


def with_trust(**changes):
    data = full_report(3) | PARTS | changes
    data["selection"]["figures"] |= FIGURES
    return data


def test_the_page_shows_every_part_of_trust() -> None:
    page, parsed = rendered(with_trust())
    assert page.count("<svg") == 11
    assert parsed.open == []
    assert len(set(parsed.ids)) == len(parsed.ids), "plots must not share element ids"
    text = parsed.text
    for told in (
        "How far answers can be trusted",
        "calibration error 1.2 %",
        "AUROC 0.867, raw 0.742",
        "67.4 % of the unknown are too; by the largest raw similarity 90.3 %",
        "91.2 % of the 812 pairs of one class (TPR) and 83.4 % of the 20,000 pairs of two classes (TNR)",
        "the equal error rate is 10.0 % (holdout)",
        "of 20,000 pairs of different classes let in, %",
        "of 812 pairs of one class found, %",
        "half overlap of answers",
        "a fifth of the classes at a time had no reference",
        "a fifth of the pictures unknown",
        "Otsu's threshold",
    ):
        assert told in text, told
    assert "asked for" not in text


@pytest.mark.parametrize("missing", sorted(PARTS))
def test_a_part_that_was_not_measured_says_why(missing: str) -> None:
    reasons = dict(zip(PARTS, ("risk", "reliability", "unknown", "pairs"), strict=True))
    data = with_trust(**{missing: None})
    data["selection"]["figures"]["unmeasured"] = {reasons[missing]: "there were 9 right and 0 wrong answers"}
    page, parsed = rendered(data)
    assert page.count("<svg") == (9 if missing == "pairs" else 10)
    assert parsed.open == []
    assert "There were 9 right and 0 wrong answers." in parsed.text
    assert ("a fifth of the classes at a time had no reference" in parsed.text) == (missing != "unknown_roc")


def test_without_any_part_the_section_says_why() -> None:
    data = full_report(3)
    assert "did not measure it: run “holotype optimise groceries” again" in _section(data)
    data["selection"]["figures"]["unmeasured"] = {"risk": "with one class nothing can be told apart"}
    assert "With one class nothing can be told apart." in _section(data)
    assert "Nothing was optimised yet: run “holotype optimise groceries”." in _section(bare_report())


def _section(data) -> str:
    text = " ".join(rendered(data)[1].text.split())
    return text.split("How far answers can be trusted")[1].split("How alike different classes are")[0]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            (150, 0.6, 0.013, [0.002, 0.04]),
            "150 pictures (60.0 %) were accepted, 1.3 % of them wrongly (0.2 to 4.0 %).",
        ),
        ((0, 0.0, None, None), "0 pictures (0.0 %) were accepted."),
    ],
)
def test_what_was_realised_is_told_apart_from_all_other_figures(found, told: str) -> None:
    data = with_trust()
    assert "With rejection" not in rendered(data)[1].text
    data["evaluation"]["realised"] = dict(zip(("accepted", "coverage", "error", "interval"), found, strict=True))
    data["evaluation"]["realised"] |= {"max_error": 0.02, "note": ""}
    text = " ".join(rendered(data)[1].text.split())
    assert f"With at most 2.0 % wrong among the accepted asked for, {told}" in text
    assert "figures are of what the references answer, without rejection" in text


def test_what_was_promised_is_told() -> None:
    data = with_trust()
    data["evaluation"]["promised"] = {"max_error": 0.02, "coverage": 0.46, "trust_needed": 0.9}
    assert "46.0 % of the pictures would be accepted" in rendered(data)[1].text


def test_equal_bins_are_drawn_once() -> None:
    alike = rendered(with_trust(reliability={"served": BINS, "temperature": BINS}))[1].text
    assert "as served" in alike
    assert "temperature alone" not in alike
    assert "temperature alone" in rendered(with_trust())[1].text
