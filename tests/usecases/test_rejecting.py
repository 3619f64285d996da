from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.rejection import Policy, risk_curve
from service.core.trust import TrustModel
from service.errors import InvalidInput
from service.records import Split
from service.usecases.classify import classify
from service.usecases.context import image_key, partition_of
from service.usecases.evaluate import evaluate_folder, report_data, stored_evaluation
from service.usecases.publish import publish
from service.usecases.reading import encoder_of, read_pictures
from tests.fakes import ingested, picture, write_pictures
from tests.usecases.serving import draft, fruit_of, no_sleep, stocked

PICTURES = [(f"new/{number}.png", picture(f"new{number}", seed=70_000 + number)) for number in range(8)]
CURVE = risk_curve(np.array([0.9, 0.5, 0.4, 0.1]), np.array([True, True, False, False]), np.ones(4))
"""Errors 1/3 from trust 0.5 on, 2/4 from 0.4, 3/5 for everything."""


def serve(context, weights, bias: float = 0.0, typical=(0.9, 0.5, 0.1), confidence: TrustModel | None = None):
    """A selection with a policy of that trust serves."""
    policy = Policy(TrustModel(weights, bias), confidence, typical, CURVE)
    figures = {"accuracy": 0.5, "policy": policy.as_dict()}
    publish(context, fruit_of(context), replace(draft(context), figures=figures), sleep=no_sleep)
    return context


def served(tmp_path, *arguments, **options):
    return serve(stocked(tmp_path)[0], *arguments, **options)


def asked(context, **options):
    return [one.as_dict() for one in classify(context, "acme", "fruit", PICTURES, **options)]


def test_nothing_is_rejected_unless_an_error_is_stated(tmp_path):
    context = served(tmp_path, (0.0, 0.0, 0.0), bias=-50.0)
    for one in asked(context):
        assert one["label"] is not None
        assert one["rejected"] is None


def test_what_is_not_trusted_enough_gets_no_label_but_is_named(tmp_path):
    """Trust is 1 / (1 + exp(20 (cut - margin))): 0.5 is reached at the cut, which halves the answers."""
    context = served(tmp_path, (0.0, 0.0, 0.0))
    cut = float(np.median([one["margin"] for one in asked(context)]))
    serve(context, (0.0, 20.0, 0.0), bias=-20.0 * cut, typical=(0.9, 3.0, 0.1))
    plain, strict = asked(context), asked(context, max_error=0.4)
    kinds = set()
    for before, after in zip(plain, strict, strict=True):
        assert after["top"] == before["top"]
        kinds.add(after["rejected"] is None)
        if after["margin"] >= cut:
            assert (after["label"], after["rejected"]) == (before["label"], None)
        else:
            names = [scored["label"] for scored in after["top"][:2]]
            assert after["label"] is None
            assert after["rejected"] == {
                "reason": f"torn between {names[0]} and {names[1]}",
                "trust": pytest.approx(1 / (1 + np.exp(20 * (cut - after["margin"])))),
                "needed": 0.5,
            }
    assert kinds == {True, False}, "the case should tell accepted from rejected"
    assert all(one["rejected"] is None for one in asked(context, max_error=0.7)), "the loosest error takes everything"
    json.dumps(strict)


def test_a_stated_error_was_measured_without_the_classes_that_came_since(tmp_path):
    context = served(tmp_path / "first", (0.0, 0.0, 0.0))
    assert not any(one["notes"] for one in asked(context, max_error=0.4))
    late = {f"{label}/{number}.png": picture(f"{label}{number}", seed=3000 + row)
            for row, label in enumerate(("quince", "sloe")) for number in range(2)}  # fmt: skip
    some = {name: data for name, data in late.items() if name.startswith("quince")}
    ingested(context, write_pictures(tmp_path / "some", some), split="support")
    told = "stated errors were measured without {} ({}): run `holotype optimise fruit` (over HTTP: POST "
    for one in asked(context, max_error=0.4):
        assert one["notes"][0].startswith(told.format("this class", "quince"))
    assert not any("stated errors" in note for one in asked(context) for note in one["notes"]), "none was stated"
    ingested(context, write_pictures(tmp_path / "all", late), split="support")
    for one in asked(context, max_error=0.4):
        assert one["notes"][0].startswith(told.format("these classes", "quince, sloe"))
    serve(context, (0.0, 0.0, 0.0))
    assert not any(one["notes"] for one in asked(context, max_error=0.4))


def test_far_away_is_another_reason(tmp_path):
    context = served(tmp_path, (20.0, 0.0, 0.0), bias=-60.0, typical=(3.0, 0.0, 0.0))
    assert {one["rejected"]["reason"] for one in asked(context, max_error=0.4)} == {"too far"}


def test_nearness_is_the_largest_raw_similarity_with_a_support_picture(tmp_path):
    """Of a stored support picture it is 1, whatever the scores: only such ones are trusted here."""
    context = served(tmp_path, (0.0, 0.0, 0.0, 100.0), bias=-99.9, typical=(0.9, 0.0, 0.1, 1.0))
    catalogue = fruit_of(context)
    stored = context.registry.examples(catalogue.id, Split.SUPPORT)[0]
    same = ("same.png", context.blobs.get(image_key("acme", stored.content_hash)))
    known, *others = classify(context, "acme", "fruit", [same, *PICTURES], max_error=0.4)
    assert known.rejected is None
    assert {one.rejected.reason for one in others} == {"too far"}
    partition = partition_of(catalogue)
    support = [one.id for one in context.registry.examples(catalogue.id, Split.SUPPORT)]
    rows = context.store.fetch(partition, support).embeddings
    asked_of = read_pictures(context, encoder_of(context, catalogue), "acme", [data for _, data in PICTURES]).embeddings
    expected = 1 / (1 + np.exp(-(100 * (asked_of @ rows.T).max(axis=1) - 99.9)))
    assert [one.rejected.trust for one in others] == pytest.approx(expected.tolist(), abs=1e-4)


def test_both_labels_are_named_even_where_one_was_asked_for(tmp_path):
    context = served(tmp_path, (0.0, 20.0, 0.0), bias=-50.0, typical=(0.9, 3.0, 0.1))
    for one in asked(context, top=1, max_error=0.4):
        assert len(one["top"]) == 2
        assert one["rejected"]["reason"].startswith("torn between")


def test_confidence_is_calibrated_where_that_measured_better(tmp_path):
    context = served(tmp_path, (0.0, 1.0, 0.0))
    plain = asked(context)
    calibrated = asked(serve(context, (0.0, 1.0, 0.0), confidence=TrustModel((1.0, 2.0, -1.0), 0.5)))
    for before, after in zip(plain, calibrated, strict=True):
        logit = after["top"][0]["score"] + 2 * after["margin"] + np.log(before["confidence"]) + 0.5
        assert after["confidence"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)


def test_where_nothing_was_measured_that_is_said(tmp_path):
    context, _ = stocked(tmp_path / "first")
    with pytest.raises(
        InvalidInput,
        match=r"never optimised.*run `holotype optimise fruit` .* first",
    ):
        asked(context, max_error=0.01)
    publish(context, fruit_of(context), draft(context), sleep=no_sleep)
    with pytest.raises(InvalidInput, match=r"no measured answers.*ingest more pictures"):
        asked(context, max_error=0.01)
    with pytest.raises(InvalidInput, match=r"never optimised|no measured answers"):
        evaluate_folder(context, "acme", "fruit", tmp_path, lambda *_: None, max_error=0.01)


def test_an_error_that_cannot_be_promised_is_refused(tmp_path):
    context = served(tmp_path, (0.0, 1.0, 0.0))
    with pytest.raises(InvalidInput, match=r"smallest error .* is 33 %"):
        asked(context, max_error=0.1)
    with pytest.raises(InvalidInput, match="a share above 0"):
        asked(context, max_error=5.0)


def test_a_folder_says_how_the_promise_was_kept(tmp_path):
    context = served(tmp_path / "first", (0.0, 0.0, 0.0))
    pictures = {
        f"{label}/n{number}.png": picture(f"n{label}{number}", seed=9000 + 100 * row + number)
        for row, label in enumerate(("apple", "pear", "plum"))
        for number in range(4)
    }
    folder = write_pictures(tmp_path / "new", pictures)
    margins = [one.prediction.margin for one in classify(context, "acme", "fruit", list(pictures.items()))]
    serve(context, (0.0, 20.0, 0.0), bias=-20.0 * float(np.median(margins)))
    result = evaluate_folder(context, "acme", "fruit", folder, lambda *_: None, max_error=0.4)
    answers = [one.as_dict() for one in classify(context, "acme", "fruit", list(pictures.items()), max_error=0.4)]
    accepted = [(one["label"], path.split("/")[0]) for one, path in zip(answers, pictures, strict=True) if one["label"]]
    wrong = np.mean([label != truth for label, truth in accepted])
    assert 0 < len(accepted) < 12, "the case should tell accepted from rejected"
    found = result["realised"]
    assert (found["max_error"], found["accepted"]) == (0.4, len(accepted))
    assert found["coverage"] == pytest.approx(len(accepted) / 12)
    assert found["error"] == pytest.approx(wrong)
    assert found["interval"][0] <= wrong <= found["interval"][1]
    assert "without rejection" in found["note"]
    json.dumps(report_data(context, "acme", "fruit", result))
    plain = evaluate_folder(context, "acme", "fruit", folder, lambda *_: None)
    assert result == {**plain, "realised": found}, "rejection changes no other figure, the panel's least of all"
    own = result["panel"]["holotype"]
    assert (own["accuracy"], own["macro_f1"]) == (result["accuracy"], result["macro_f1"])


def test_nothing_accepted_has_no_error(tmp_path):
    context = served(tmp_path / "first", (0.0, 0.0, 0.0), bias=-50.0)
    folder = write_pictures(tmp_path / "new", {"apple/n.png": picture("n", seed=5)})
    found = evaluate_folder(context, "acme", "fruit", folder, lambda *_: None, max_error=0.4)["realised"]
    assert (found["accepted"], found["error"], found["interval"]) == (0, None, None)


def test_stored_figures_say_what_is_promised(tmp_path):
    context = served(tmp_path, (0.0, 20.0, 0.0))
    stored = stored_evaluation(context, "acme", "fruit", max_error=0.4)
    assert stored["promised"] == {"max_error": 0.4, "coverage": 0.5, "trust_needed": 0.5}
    assert "promised" not in stored_evaluation(context, "acme", "fruit")
