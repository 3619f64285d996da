from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from service.adapters.report_html import MEMBERS, HtmlReportWriter
from service.core.model import Prediction, ScoredLabel
from service.errors import Busy, InvalidInput, NothingToServe, SelectionNotFound
from service.records import Split
from service.usecases.classify import classify
from service.usecases.context import report_key
from service.usecases.evaluate import evaluate_folder, evaluate_pictures, report_data, stored_evaluation
from service.usecases.publish import publish
from service.usecases.scoring import Judged, Labelled, evaluated, told_skipped
from tests.adapters.report_cases import full_report
from tests.fakes import fake_context, fruit, picture, write_pictures
from tests.usecases.serving import draft, fruit_of, no_sleep, stocked

PARTS = ("cross_class_histogram", "similarity_before", "similarity_after", "class_distance", "curve", "versions")


def quiet(stage, done, total):
    """Nobody watches."""


def published(context, **changes):
    return publish(context, fruit_of(context), replace(draft(context), **changes), sleep=no_sleep)


def new_pictures(each: int = 4, labels=("apple", "pear", "plum")) -> dict[str, bytes]:
    return {
        f"{label}/n{number}.png": picture(f"n{label}{number}", seed=9000 + 100 * row + number)
        for row, label in enumerate(labels)
        for number in range(each)
    }


@pytest.mark.parametrize("optimised", [False, True])
def test_a_folder_is_judged_by_what_classify_answers(tmp_path, optimised):
    context, _ = stocked(tmp_path / "first")
    selection = published(context) if optimised else None
    pictures = new_pictures()
    folder = write_pictures(tmp_path / "new", pictures)
    support = len(context.registry.examples(fruit_of(context).id, Split.SUPPORT))
    seen = []
    result = evaluate_folder(context, "acme", "fruit", folder, lambda *progress: seen.append(progress))
    answers = classify(context, "acme", "fruit", list(pictures.items()))
    truth = [name.split("/")[0] for name in pictures]
    right = [answer.prediction.label == label for answer, label in zip(answers, truth, strict=True)]
    assert 0 < sum(right) < len(right), "the case should tell right from wrong"
    assert (result["images"], result["accuracy"]) == (12, pytest.approx(np.mean(right)))
    assert result["top5"] == 1.0, "there are three labels"
    assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]
    assert {label: one["images"] for label, one in result["per_class"].items()} == Counter(truth)
    assert sum(cell["images"] for cell in result["confusion"]) == 12
    assert sum(cell["images"] for cell in result["confusion"] if cell["label"] == cell["predicted"]) == sum(right)
    assert (result["support"], result["references"]) == (support, 6 if optimised else support)
    assert result["selection"] == (selection.id if selection else None)
    assert set(result["panel"]) == (set(MEMBERS) if optimised else set())
    assert set(result["panel_no_pull"]) == (set(MEMBERS) if optimised else set())
    if optimised:
        assert result["panel"]["holotype"]["accuracy"] == result["accuracy"]
        assert result["panel"]["all"]["references"] == support
    assert "12 pictures of" in result["measured_on"]
    assert result["panel_measured_on"] == result["measured_on"]
    assert result["skipped"] == {"unknown_label": 0, "already_stored": 0, "broken": 0}
    assert seen == [("evaluate", done, 12) for done in (0, 4, 8, 12)]
    json.dumps(result)


def test_what_cannot_be_judged_is_counted(tmp_path):
    context, _ = stocked(tmp_path / "first")
    known = (tmp_path / "first" / "apple" / "1.png").read_bytes()
    folder = write_pictures(
        tmp_path / "new",
        {
            **new_pictures(1),
            "durian/0.png": picture("durian", seed=1),
            "durian/1.png": picture("durian1", seed=2),
            "pear/known under another name.png": known,
            "pear/broken.png": b"no picture",
            "stray.png": picture("stray", seed=3),
            "plum/old.bmp": b"BM",
        },
    )
    result = evaluate_folder(context, "acme", "fruit", folder, quiet)
    assert result["images"] == 3
    assert result["skipped"] == {"unknown_label": 3, "already_stored": 1, "broken": 2}


def test_places_are_those_of_the_vote():
    """float32 would make a tie of these two scores, and the tie would go to the label that sorts first."""
    close = Prediction("b", 0.5, 0.0, (ScoredLabel("b", 0.5 + 1e-12), ScoredLabel("a", 0.5)), ())
    assert evaluated(Judged(truth=["b"], predictions=[close])).accuracy == 1.0


def test_a_folder_without_anything_to_judge_is_refused(tmp_path):
    context, _ = stocked(tmp_path / "first")
    folder = write_pictures(tmp_path / "new", {"durian/0.png": picture("durian", seed=1)})
    with pytest.raises(
        InvalidInput,
        match=r"of 1 picture in .* none .*: 1 has a label that .*\('durian'; it knows 'apple', 'pear', 'plum'\)$",
    ):
        evaluate_folder(context, "acme", "fruit", folder, quiet)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"there are no pictures in .*empty"):
        evaluate_folder(context, "acme", "fruit", tmp_path / "empty", quiet)
    with pytest.raises(InvalidInput, match="is not a folder"):
        evaluate_folder(context, "acme", "fruit", tmp_path / "missing", quiet)


def test_an_empty_catalogue_cannot_be_judged(tmp_path):
    context = fake_context()
    context.registry.create_catalogue("acme", "fruit", "fake")
    with pytest.raises(NothingToServe):
        evaluate_folder(context, "acme", "fruit", tmp_path, quiet)


def test_figures_of_two_selections_are_not_mixed(tmp_path):
    context, _ = stocked(tmp_path / "first")
    published(context)
    folder = write_pictures(tmp_path / "new", new_pictures())

    def move(stage, done, total):
        if done == 4:
            published(context, seed=1)

    with pytest.raises(Busy, match="changed while pictures were judged"):
        evaluate_folder(context, "acme", "fruit", folder, move)


def test_stored_figures_are_those_of_the_active_selection(tmp_path):
    context, _ = stocked(tmp_path)
    with pytest.raises(SelectionNotFound, match="holotype optimise fruit"):
        stored_evaluation(context, "acme", "fruit")
    figures = full_report(3)["evaluation"]
    selection = published(context, figures=figures)
    stored = stored_evaluation(context, "acme", "fruit")
    assert stored["selection"] == selection.id
    assert stored["accuracy"] == figures["accuracy"]
    assert stored["per_class"] == figures["per_class"]
    assert stored["measured_on"] == stored["panel_measured_on"] == "holdout"
    assert stored["skipped"] == {"unknown_label": 0, "already_stored": 0, "broken": 0}
    assert stored["difference"] == figures["difference"]


def test_stored_figures_of_nothing(tmp_path):
    context, _ = stocked(tmp_path)
    published(context, figures={"images": 0}, measured_on="nothing")
    stored = stored_evaluation(context, "acme", "fruit")
    assert (stored["images"], stored["accuracy"], stored["per_class"], stored["panel"]) == (0, None, {}, {})
    page = HtmlReportWriter().render(report_data(context, "acme", "fruit", stored))
    assert "The optimisation that made this selection did not measure it" in page


def test_the_report_gathers_what_is_stored(tmp_path):
    context, _ = stocked(tmp_path)
    full = full_report(3)
    parts = {part: full[part] for part in PARTS} | {"confusion": full["confusion"]}
    selection = published(context, figures=full["selection"]["figures"], report=parts)
    data = report_data(context, "acme", "fruit", stored_evaluation(context, "acme", "fruit"))
    assert {part: data[part] for part in parts} == parts
    assert data["selection"]["selection"] == selection.id
    assert (data["selection"]["references"], data["selection"]["provisional"]) == (6, 0)
    assert data["panel_no_pull"] == full["panel_no_pull"]
    assert sum(data["catalogue"]["splits"].values()) == 24
    assert data["catalogue"]["digest"] == fruit_of(context).fingerprint.digest
    assert data["device"] is None
    json.dumps(data)
    assert HtmlReportWriter().render(data).count("<svg") == 6


def test_a_folder_brings_its_own_confusion_and_device(tmp_path):
    context, _ = stocked(tmp_path / "first")
    full = full_report(3)
    published(context, figures=full["selection"]["figures"], report={"confusion": full["confusion"]})
    folder = write_pictures(tmp_path / "new", new_pictures())
    evaluation = evaluate_folder(context, "acme", "fruit", folder, quiet)
    data = report_data(context, "acme", "fruit", evaluation)
    assert set(data["confusion"]["labels"]) <= {"apple", "pear", "plum"}
    assert np.sum(data["confusion"]["matrix"]) == 12
    assert (data["device"], data["precision"]) == ("cpu", "float32")
    HtmlReportWriter().write(data, tmp_path / "page.html")
    assert "12 pictures of" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_report_stands_without_its_stored_parts(tmp_path):
    context, _ = stocked(tmp_path / "first")
    selection = published(context)
    context.blobs.delete([report_key("acme", selection.id)])
    data = report_data(context, "acme", "fruit", stored_evaluation(context, "acme", "fruit"))
    assert all(data[part] is None for part in PARTS)
    HtmlReportWriter().render(data)


def test_the_report_before_any_optimisation(tmp_path):
    context, _ = stocked(tmp_path / "first")
    folder = write_pictures(tmp_path / "new", new_pictures())
    data = report_data(context, "acme", "fruit", evaluate_folder(context, "acme", "fruit", folder, quiet))
    assert data["selection"] is None
    assert "Nothing was optimised yet" in HtmlReportWriter().render(data)


def test_pictures_of_the_catalogue_are_no_test(tmp_path):
    context, _ = stocked(tmp_path / "first")
    with pytest.raises(InvalidInput, match="24 are in the catalogue already"):
        evaluate_folder(context, "acme", "fruit", tmp_path / "first", quiet)
    assert len(fruit(8)) == 16


def given(pictures: dict[str, bytes]) -> list[Labelled]:
    return [Labelled(name.split("/")[0], lambda data=data: data) for name, data in pictures.items()]


@pytest.mark.parametrize("optimised", [False, True])
def test_pictures_that_are_given_are_judged_as_those_of_a_folder(tmp_path, optimised):
    context, _ = stocked(tmp_path / "first")
    if optimised:
        published(context)
    pictures = new_pictures() | {
        "durian/0.png": picture("durian", seed=1),
        "pear/known.png": (tmp_path / "first" / "pear" / "1.png").read_bytes(),
        "pear/broken.png": b"no picture",
    }
    folder = evaluate_folder(context, "acme", "fruit", write_pictures(tmp_path / "new", pictures), quiet)
    result = evaluate_pictures(context, "acme", "fruit", given(pictures))
    assert result["skipped"] == {"unknown_label": 1, "already_stored": 1, "broken": 1}
    assert {**result, "measured_on": 0, "panel_measured_on": 0} == {**folder, "measured_on": 0, "panel_measured_on": 0}
    assert result["measured_on"] == "12 pictures of the request that the catalogue does not hold"


def test_labels_that_are_given_are_read_as_those_of_the_catalogue(tmp_path):
    context, _ = stocked(tmp_path)
    data = picture("new", seed=9001)

    def unreadable() -> bytes:
        raise InvalidInput("it is empty")

    pictures = [Labelled(" pear ", lambda: data), Labelled("\x00", lambda: data), Labelled("pear", unreadable)]
    result = evaluate_pictures(context, "acme", "fruit", pictures)
    assert result["images"] == 1
    assert result["skipped"] == {"unknown_label": 1, "already_stored": 0, "broken": 1}
    with pytest.raises(InvalidInput, match="there are no pictures"):
        evaluate_pictures(context, "acme", "fruit", [])
    with pytest.raises(InvalidInput, match="of 1 picture in the request none can be judged: 1 has a label"):
        evaluate_pictures(context, "acme", "fruit", [Labelled("durian", lambda: data)])


def test_what_was_left_out_is_told_without_what_was_not():
    """Labels that can be none are counted, and not named."""
    left_out = Counter(unknown_label=2, already_stored=1)
    judged = Judged(skipped=left_out, unknown={"", *"gfedcba"}, known={"fig"})
    assert told_skipped(judged) == (
        "2 have labels that the catalogue does not know ('a', 'b', 'c', 'd', 'e' and 2 more; it knows 'fig'), "
        "1 is in the catalogue already"
    )
    assert told_skipped(Judged(skipped=Counter(unknown_label=1), unknown={""}, known={"fig"})).endswith(
        "know (it knows 'fig')"
    )
    assert told_skipped(Judged(skipped=Counter(broken=2))) == "2 cannot be read"
