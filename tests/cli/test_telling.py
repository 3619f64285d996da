"""Sentences for people about what is known of a selection."""

from service.cli.answers import _evaluation_tables
from service.cli.optimise import selection_tables
from service.cli.telling import told_of

VERIFICATION = {
    "pictures": {
        "otsu": {"threshold": 0.5, "tpr": 0.9604, "tnr": 0.9927},
        "eer": {"threshold": 0.4, "tpr": 0.97, "tnr": 0.97},
        "eer_rate": 0.022, "same": 812, "different": 20_000, "measured_on": "holdout",
    }
}  # fmt: skip
LINE = (
    "Same class or not: equal error rate 2.2 %; at Otsu's threshold TPR 96.0 % of 812 pairs, "
    "TNR 99.3 % of 20000 (holdout)"
)
ALONE = "with one class nothing can be told apart"


def test_verification_has_one_line_wherever_figures_are_shown():
    figures = {"images": 9, "accuracy": 0.9, "verification": VERIFICATION}
    assert told_of(figures) == [LINE]
    assert LINE in _evaluation_tables({**figures, "measured_on": "holdout"})
    assert LINE in selection_tables({"selection": "one", "figures": figures})
    assert told_of({"accuracy": 0.9}) == []


def test_what_is_missing_has_one_sentence_a_reason_and_no_dashes():
    figures = {"images": 0, "unmeasured": {"figures": ALONE, "risk": ALONE, "pairs": "no pairs"}, "per_class": {}}
    told = [
        f"Not measured: accuracy, panel, figures by class, error against coverage: {ALONE}.",
        "Not measured: same class or not: no pairs.",
    ]
    assert told_of(figures) == told
    measured, *rest = _evaluation_tables({**figures, "measured_on": "nothing", "references": 5, "support": 5})
    assert rest == told, "no empty table by class"
    assert not {"accuracy", "macro_f1"} & {str(cell) for cell in measured.columns[0].cells}
