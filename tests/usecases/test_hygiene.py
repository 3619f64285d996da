"""Hygiene on a stocked catalogue with planted faults, and decisions that stick."""

import json

import numpy as np
import pytest

from service.core.hygiene import outliers
from service.errors import CatalogueNotFound, ExampleNotFound, InvalidInput, NothingToServe
from service.records import ExampleState, Split
from service.usecases.context import image_key
from service.usecases.decide import drop, relabel
from service.usecases.findings import Advice, FindingKind
from service.usecases.holdings import labelled_examples
from service.usecases.hygiene import STAGE_LOOK, keep, survey_hygiene
from tests.fakes import FAKE_DIMENSION, FAKE_ENCODER, fake_context, fruit, ingested, picture, write_pictures

CENTRES = np.random.default_rng(3).integers(30, 200, (4, FAKE_DIMENSION * 3))


def near(name: str, centre: int, number: int, *, width: int = 60, height: int = 50, hashed: str | None = None) -> bytes:
    """A picture of a class: its centre's pixels, each off by up to 12."""
    rng = np.random.default_rng([centre, number])
    pixels = CENTRES[centre] + rng.integers(-12, 13, CENTRES.shape[1])
    told = {"name": name, "pixels": pixels.tolist(), "crashes": 0, "width": width, "height": height}
    return json.dumps(told | {"hash": hashed or f"{int(rng.integers(0, 2**63)):016x}"}).encode()


def classes(each: int = 10, labels=("apple", "pear", "plum")) -> dict[str, bytes]:
    """`each` pictures around each label's centre."""
    return {
        f"{label}/{number}.png": near(f"{label}{number}", code, number)
        for code, label in enumerate(labels)
        for number in range(each)
    }


def stocked(folder, pictures, **changes):
    context = fake_context(**changes)
    ingested(context, write_pictures(folder, pictures))
    return context


def survey(context, on_progress=lambda *_: None):
    return survey_hygiene(context, "acme", "fruit", on_progress)


def found(context, kind: FindingKind):
    return [one for one in survey(context).findings if one.kind is kind]


def example(context, name: str):
    catalogue = context.registry.catalogue("acme", "fruit")
    (one,) = [one for one in context.registry.examples(catalogue.id) if one.source.endswith(name)]
    return one


def test_a_clean_catalogue_has_nothing_to_tell(tmp_path):
    report = survey(stocked(tmp_path, classes()))
    assert report.findings == ()
    assert report.as_dict() == {
        "examples": 30,
        "counts": {kind.value: 0 for kind in FindingKind},
        "findings": [],
        "accepted": 0,
        "unreadable": [],
    }


def test_progress_ends_at_the_last_picture(tmp_path):
    told = []
    survey(stocked(tmp_path, classes(each=5)), lambda *step: told.append(step))
    assert told[0][1] == 0
    assert told[-1] == (STAGE_LOOK, 15, 15)


def test_a_wrong_label_is_named_with_the_likely_one_until_it_is_decided(tmp_path):
    context = stocked(tmp_path, classes() | {"apple/wrong.png": near("wrong", 1, 99)})
    (finding,) = found(context, FindingKind.LABEL)
    wrong = example(context, "wrong.png")
    assert finding.example == wrong
    assert finding.labels == ("apple", "pear")
    assert finding.suggested is Advice.RELABEL
    assert 0 < finding.numbers["given"] < finding.numbers["likely"] <= 1
    assert set(finding.as_dict()["example"]) == {"id", "label", "split", "source"}

    relabel(context, "acme", "fruit", wrong.id, "pear")
    assert found(context, FindingKind.LABEL) == []
    relabel(context, "acme", "fruit", wrong.id, "apple")
    drop(context, "acme", "fruit", [wrong.id])
    assert survey(context).findings == ()


def test_what_is_kept_is_not_listed_again_until_the_label_changes(tmp_path):
    context = stocked(tmp_path, classes() | {"apple/wrong.png": near("wrong", 1, 99)})
    wrong = example(context, "wrong.png")
    before = survey(context)
    kinds = [one.kind.value for one in before.findings if one.example == wrong]
    assert "label" in kinds
    assert keep(context, "acme", "fruit", [wrong.id, wrong.id]).kinds == {wrong.id: kinds}
    after = survey(context)
    assert [one for one in after.findings if one.example == wrong] == []
    assert after.accepted == len(kinds)
    assert len(after.findings) + after.accepted == len(before.findings)
    assert keep(context, "acme", "fruit", [wrong.id]).kinds == {wrong.id: kinds}, "twice is once"

    relabel(context, "acme", "fruit", wrong.id, "plum")
    assert [one.labels for one in found(context, FindingKind.LABEL)] == [("plum", "pear")]


def test_keeping_accepts_only_what_is_found_now(tmp_path):
    context = stocked(tmp_path, classes())
    one = example(context, "apple/0.png")
    assert keep(context, "acme", "fruit", [one.id]).kinds == {one.id: []}
    assert context.registry.kept_findings(one.catalogue_id) == {}


def test_keeping_knows_its_examples(tmp_path):
    context = stocked(tmp_path, fruit() | {"pear/same.png": fruit()["apple/0.png"]})
    catalogue = context.registry.catalogue("acme", "fruit")
    (held,) = [one for one in context.registry.examples(catalogue.id) if one.state is ExampleState.CONFLICT]
    with pytest.raises(ExampleNotFound):
        keep(context, "acme", "fruit", ["none"])
    with pytest.raises(InvalidInput, match="several labels: `relabel`"):
        keep(context, "acme", "fruit", [held.id])
    with pytest.raises(CatalogueNotFound):
        keep(context, "acme", "none", [held.id])


def test_a_conflict_is_listed_first(tmp_path):
    context = stocked(tmp_path, classes() | {"pear/same.png": classes()["apple/0.png"]})
    first = survey(context).findings[0]
    assert first.kind is FindingKind.CONFLICT
    assert set(first.labels) == {"apple", "pear"}
    assert first.suggested is Advice.RELABEL
    relabel(context, "acme", "fruit", first.example.id, "apple")
    assert found(context, FindingKind.CONFLICT) == []


def test_near_duplicates_but_for_the_largest(tmp_path):
    same = {"hashed": "00000000000000ff"}
    copies = {
        "apple/small.png": near("small", 0, 50, width=40, **same),
        "apple/large.png": near("large", 0, 50, width=80, **same),
        "apple/middle.png": near("middle", 0, 50, width=60, **same),
    }
    context = stocked(tmp_path, classes() | copies)
    largest = example(context, "large.png")
    listed = found(context, FindingKind.DUPLICATE)
    assert {one.example.source.split("/")[-1] for one in listed} == {"small.png", "middle.png"}
    assert {(one.others, one.suggested, one.numbers["pictures"]) for one in listed} == {((largest,), Advice.DROP, 3)}
    keep(context, "acme", "fruit", [example(context, "small.png").id])
    assert [one.example for one in found(context, FindingKind.DUPLICATE)] == [example(context, "middle.png")]


def test_near_duplicates_under_two_labels_blame_the_doubted_one(tmp_path):
    same = {"hashed": "00000000000000ff"}
    right, wrong = near("right", 0, 50, **same), near("wrong", 0, 50, width=61, **same)
    context = stocked(tmp_path, classes() | {"apple/right.png": right, "pear/wrong.png": wrong})
    (finding,) = found(context, FindingKind.CROSS_LABEL)
    assert finding.example == example(context, "wrong.png")
    assert finding.others == (example(context, "right.png"),)
    assert finding.labels == ("pear", "apple")
    assert finding.suggested is Advice.RELABEL
    assert finding.numbers["similarity"] == pytest.approx(1, abs=1e-6)
    assert found(context, FindingKind.DUPLICATE) == []


@pytest.mark.parametrize("label", ["apple", "pear"])
def test_a_leak_is_told_of_the_picture_that_judges(tmp_path, label):
    same = {"hashed": "00000000000000ff"}
    context = stocked(tmp_path / "first", classes())
    one = write_pictures(tmp_path / "one", {"apple/known.png": near("known", 0, 50, **same)})
    other = write_pictures(tmp_path / "other", {f"{label}/judge.png": near("judge", 0, 50, width=61, **same)})
    ingested(context, one, split="support")
    ingested(context, other, split="holdout")
    if label == "pear":  # which label is right comes first
        assert found(context, FindingKind.LEAK) == []
        (crossed,) = found(context, FindingKind.CROSS_LABEL)
        relabel(context, "acme", "fruit", crossed.example.id, crossed.labels[1])
    (finding,) = found(context, FindingKind.LEAK)
    assert finding.example == example(context, "judge.png")
    assert finding.example.split is Split.HOLDOUT
    assert finding.others == (example(context, "known.png"),)
    assert finding.suggested is Advice.DROP
    keep(context, "acme", "fruit", [finding.example.id])
    assert found(context, FindingKind.LEAK) == []


def test_a_stray_is_an_outlier(tmp_path):
    """It lies where no class is; with one class alone, nobody can say that it is recognised all the same."""
    context = stocked(tmp_path, classes(each=12, labels=("apple",)) | {"apple/stray.png": near("stray", 3, 1)})
    (finding,) = found(context, FindingKind.OUTLIER)
    assert finding.example == example(context, "stray.png")
    assert finding.suggested is Advice.LOOK
    assert finding.numbers["z"] > 3.5
    assert finding.numbers["distance"] > finding.numbers["median"]


def test_an_outlier_of_another_class_is_to_be_relabelled(tmp_path):
    context = stocked(tmp_path, classes(each=12) | {"apple/stray.png": near("stray", 1, 99)})
    (finding,) = survey(context).findings
    assert (finding.kind, finding.suggested) == (FindingKind.LABEL, Advice.RELABEL)
    assert finding.example == example(context, "stray.png")
    assert finding.numbers["z"] > 3.5


def test_a_stray_whose_label_is_in_doubt_is_one_finding(tmp_path, monkeypatch):
    """The stray lies between pears and plums, so the judge gives it to one of them, and is not sure."""
    between = CENTRES[[1, 2]].mean(axis=0).astype(int)
    stray = json.loads(near("stray", 0, 1)) | {"pixels": between.tolist(), "hash": "0f0f0f0f0f0f0f0f"}
    context = stocked(tmp_path, classes(each=12) | {"apple/stray.png": json.dumps(stray).encode()})
    stray = example(context, "stray.png")
    (label,) = (one for one in survey(context).findings if one.example == stray)
    assert label.kind is FindingKind.LABEL
    assert label.why.endswith("less surely than is usual there; it lies far from apple")
    given = label.numbers["given"]
    for threshold, advice in ((given * 1.01, Advice.DROP), (given, Advice.LOOK)):
        monkeypatch.setattr("service.usecases.survey.CAST_OUT", threshold)
        (label,) = (one for one in survey(context).findings if one.example == stray)
        assert label.suggested is advice


def test_what_is_recognised_all_the_same_is_no_outlier(tmp_path):
    """It lies far from the apples, on the side that is away from pears and plums."""
    away = np.clip(CENTRES[0] + (CENTRES[0] - CENTRES[[1, 2]].mean(axis=0)) * 0.8, 0, 255).astype(int)
    odd = json.loads(near("odd", 0, 1)) | {"pixels": away.tolist(), "hash": "0f0f0f0f0f0f0f0f"}
    context = stocked(tmp_path, classes(each=12) | {"apple/odd.png": json.dumps(odd).encode()})
    catalogue = context.registry.catalogue("acme", "fruit")
    _, data = labelled_examples(context, catalogue, context.registry.examples(catalogue.id))
    assert [data.ids[one.row] for one in outliers(data)] == [example(context, "odd.png").id]
    assert found(context, FindingKind.OUTLIER) == []


def test_small_pictures_the_smallest_first(tmp_path):
    tiny = {
        "apple/a.png": near("a", 0, 60, width=31, height=500),
        "apple/b.png": near("b", 0, 61, width=90, height=8),
        "apple/c.png": near("c", 0, 62, width=32, height=32),
    }
    listed = found(stocked(tmp_path, classes() | tiny), FindingKind.SMALL)
    assert [one.numbers for one in listed] == [{"width_px": 90, "height_px": 8}, {"width_px": 31, "height_px": 500}]
    assert {one.suggested for one in listed} == {Advice.DROP}


def test_blank_pictures_are_seen_in_their_pixels_and_broken_bytes_are_told(tmp_path):
    blank = json.loads(near("blank", 0, 70)) | {"pixels": [120] * FAKE_DIMENSION * 3}
    context = stocked(tmp_path, classes() | {"apple/blank.png": json.dumps(blank).encode()})
    (finding,) = found(context, FindingKind.BLANK)
    assert finding.example == example(context, "blank.png")
    assert finding.numbers == {"plain_share": 1.0}
    assert finding.suggested is Advice.DROP
    gone, bad = example(context, "pear/0.png"), example(context, "pear/1.png")
    context.blobs.delete([image_key("acme", gone.content_hash)])
    context.blobs.data[image_key("acme", bad.content_hash)] = b"no picture"
    assert set(survey(context).unreadable) == {gone.id, bad.id}
    kinds = keep(context, "acme", "fruit", [finding.example.id]).kinds[finding.example.id]
    assert "blank" in kinds
    assert found(context, FindingKind.BLANK) == []


def test_classes_of_few_pictures_stay_listed(tmp_path):
    few = {f"rare/{number}.png": near(f"rare{number}", 3, number) for number in range(4)}
    context = stocked(tmp_path, classes() | few)
    (finding,) = found(context, FindingKind.THIN)
    assert finding.labels == ("rare",)
    assert finding.example is None
    assert finding.numbers == {"distinct": 4, "images": 4}
    keep(context, "acme", "fruit", [one.id for one in finding.others])
    assert len(found(context, FindingKind.THIN)) == 1


def test_classes_that_look_alike(tmp_path):
    """Twins are drawn around one centre: nobody can tell which is which."""
    twins = {
        f"{label}/{number}.png": near(f"{label}{number}", 3, number + 100 * (label == "twin"))
        for label in ("twin", "other")
        for number in range(10)
    }
    context = stocked(tmp_path, classes() | twins)
    (finding,) = found(context, FindingKind.ALIKE)
    assert finding.labels == ("other", "twin")
    assert finding.numbers["share"] >= 0.1
    assert {one.label for one in finding.others} <= {"other", "twin"}


def test_one_shot_classes_and_one_class_can_be_surveyed(tmp_path):
    one_shot = stocked(tmp_path / "a", classes(each=1))
    assert {one.kind for one in survey(one_shot).findings} == {FindingKind.THIN}
    one_class = stocked(tmp_path / "b", classes(labels=("apple",)))
    assert survey(one_class).findings == ()


def test_an_empty_catalogue_has_nothing_to_look_at(tmp_path):
    context = fake_context()
    context.registry.create_catalogue("acme", "fruit", FAKE_ENCODER)
    with pytest.raises(NothingToServe):
        survey(context)
    lone = stocked(tmp_path, {"pear/a.png": picture("a", 1), "apple/a.png": picture("a", 1)})
    assert [one.kind for one in survey(lone).findings] == [FindingKind.CONFLICT]


def one_decision_each(report):
    """Every picture is listed once."""
    listed = [one.example.id for one in report.findings if one.example is not None]
    assert len(listed) == len(set(listed))


def test_a_blank_picture_is_dropped_and_nothing_else_is_said_of_it(tmp_path):
    blank = json.loads(near("blank", 0, 70)) | {"pixels": [255] * FAKE_DIMENSION * 3}
    context = stocked(tmp_path, classes() | {"apple/blank.png": json.dumps(blank).encode()})
    one = example(context, "blank.png")
    report = survey(context)
    assert [(found.kind, found.suggested) for found in report.findings if found.example == one] == [
        (FindingKind.BLANK, Advice.DROP)
    ]
    kinds = keep(context, "acme", "fruit", [one.id]).kinds[one.id]
    assert set(kinds) > {"blank"}, "the judge has something to say, too, and that is accepted with it"
    assert [found for found in survey(context).findings if found.example == one] == []


def test_a_small_picture_with_a_wrong_label_is_dropped(tmp_path):
    context = stocked(tmp_path, classes() | {"apple/wrong.png": near("wrong", 1, 99, width=24, height=24)})
    one = example(context, "wrong.png")
    assert [(found.kind, found.suggested) for found in survey(context).findings if found.example == one] == [
        (FindingKind.SMALL, Advice.DROP)
    ]


def test_where_most_pictures_are_small_that_is_no_fault(tmp_path):
    icons = {
        f"{label}/{number}.png": near(f"{label}{number}", code, number, width=28, height=28)
        for code, label in enumerate(("apple", "pear"))
        for number in range(10)
    }
    context = stocked(tmp_path, icons | {"apple/wrong.png": near("wrong", 1, 99, width=28, height=28)})
    assert {one.kind for one in survey(context).findings} <= {FindingKind.LABEL, FindingKind.OUTLIER}
    assert found(context, FindingKind.LABEL)[0].example == example(context, "wrong.png")


def test_two_labels_of_nearly_one_picture_are_one_finding(tmp_path):
    """Whichever of the two the judge doubts: its copy, rightly labelled, is neither doubted nor evidence against it."""
    same = {"hashed": "00000000000000ff"}
    pair = {"pear/right.png": near("right", 1, 50, **same), "apple/wrong.png": near("wrong", 1, 50, width=61, **same)}
    context = stocked(tmp_path, classes() | pair)
    wrong, right = example(context, "wrong.png"), example(context, "right.png")
    about = [one for one in survey(context).findings if {wrong, right} & {one.example, *one.others}]
    assert [(one.kind, one.example, one.labels, one.suggested) for one in about] == [
        (FindingKind.CROSS_LABEL, wrong, ("apple", "pear"), Advice.RELABEL)
    ]
    relabel(context, "acme", "fruit", wrong.id, about[0].labels[1])
    left = [one for one in survey(context).findings if {wrong.id, right.id} & {one.example.id}]
    assert {(one.kind, one.suggested) for one in left} <= {
        (FindingKind.DUPLICATE, Advice.DROP),
        (FindingKind.LEAK, Advice.DROP),
    }
    assert len({one.example.id for one in left}) == 1, "one of the two stays"


def test_nearly_one_picture_under_three_labels_becomes_one_class(tmp_path):
    same = {"hashed": "00000000000000ff"}
    three = {
        f"{label}/same.png": near(label, 1, 50, width=60 + code, **same)
        for code, label in enumerate(("apple", "pear", "plum"))
    }
    listed = found(stocked(tmp_path, classes() | three), FindingKind.CROSS_LABEL)
    assert sorted(one.labels for one in listed) == [("apple", "pear"), ("plum", "pear")]
    assert {one.suggested for one in listed} == {Advice.RELABEL}


def test_two_wrong_labels_of_nearly_one_picture_get_the_third(tmp_path):
    same = {"hashed": "00000000000000ff"}
    pair = {"apple/a.png": near("a", 2, 50, **same), "pear/b.png": near("b", 2, 50, width=61, **same)}
    (finding,) = found(stocked(tmp_path, classes() | pair), FindingKind.CROSS_LABEL)
    assert (finding.labels[1], finding.suggested) == ("plum", Advice.RELABEL)
    assert finding.why.endswith("pictures like both carry plum")


def test_a_copy_is_to_be_looked_at_where_nobody_can_say_which_label_is_right(tmp_path):
    """The class "rare" has two pictures: nothing is known about it."""
    same = {"hashed": "00000000000000ff"}
    few = {"rare/0.png": near("r0", 3, 0), "rare/same.png": near("same", 1, 50, width=61, **same)}
    context = stocked(tmp_path, classes() | few | {"pear/right.png": near("right", 1, 50, **same)})
    (finding,) = found(context, FindingKind.CROSS_LABEL)
    assert (finding.example, finding.suggested) == (example(context, "rare/same.png"), Advice.LOOK)
    assert finding.why.endswith("which label is right is not sure")
    assert found(context, FindingKind.LABEL) == []


def test_of_a_picture_in_two_splits_one_copy_stays(tmp_path):
    """The larger copy judges: it is the leak, and the smaller one in support is no duplicate to be dropped as well."""
    same = {"hashed": "00000000000000ff"}
    context = stocked(tmp_path / "first", classes())
    one = write_pictures(tmp_path / "one", {"apple/small.png": near("small", 0, 50, width=60, **same)})
    other = write_pictures(tmp_path / "other", {"apple/large.png": near("large", 0, 50, width=90, **same)})
    ingested(context, one, split="support")
    ingested(context, other, split="holdout")
    assert [one.example for one in survey(context).findings] == [example(context, "large.png")]


def test_a_class_of_one_picture_is_nobodys_likely_label(tmp_path):
    """The rare picture lies right among the pears, where it would win every pear that is held against it."""
    context = stocked(tmp_path, classes(each=8) | {"rare/0.png": near("rare", 1, 300)})
    report = survey(context)
    assert {one.kind for one in report.findings} == {FindingKind.THIN}
    assert "Until then none of its labels is doubted" in report.findings[0].why


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_planted_a_picture_gets_one_decision_and_findings_hang_on_content_alone(tmp_path, seed):
    """Copies under any labels, wrong labels, blank and small pictures; then the same pictures under other ids."""
    random = np.random.default_rng(seed)
    pictures = {}
    for number in range(36):
        centre = int(random.integers(3))
        label = ("apple", "pear", "plum", "rare")[int(random.choice(4, p=[0.32, 0.32, 0.32, 0.04]))]
        told = json.loads(near(f"{number}", centre, number, width=int(random.choice([20, 60], p=[0.1, 0.9]))))
        if random.random() < 0.1:
            told["pixels"] = [int(random.integers(256))] * FAKE_DIMENSION * 3
        pictures[f"{label}/{number}.png"] = json.dumps(told).encode()
        for copy in range(int(random.choice(3, p=[0.7, 0.2, 0.1]))):
            label = ("apple", "pear", "plum")[int(random.integers(3))]
            again = told | {"name": f"{number}-{copy}", "width": told["width"] + 1 + copy}
            pictures[f"{label}/{number}-{copy}.png"] = json.dumps(again).encode()
    contexts = [fake_context(), fake_context()]
    contexts[1].registry.create_catalogue("acme", "before", FAKE_ENCODER)
    told = []
    for place, context in enumerate(contexts):
        ingested(context, write_pictures(tmp_path / str(place), pictures))
        report = survey(context)
        one_decision_each(report)
        targets = {one.example.id: one.labels[1] for one in report.findings if one.kind is FindingKind.CROSS_LABEL}
        for one in report.findings:
            if one.kind is FindingKind.CROSS_LABEL and one.suggested is Advice.RELABEL:
                assert all(targets.get(other.id, one.labels[1]) == one.labels[1] for other in one.others), "no swap"
                assert {one.labels[1], one.example.label}.isdisjoint(
                    label for found in report.findings if found.kind is FindingKind.THIN for label in found.labels
                )
        told.append(
            [
                (
                    one.kind,
                    one.labels,
                    one.suggested,
                    one.why,
                    one.example and one.example.source.split("/")[-1],
                    [other.source.split("/")[-1] for other in one.others],
                )
                for one in report.findings
            ]
        )
    assert told[0] == told[1]
    first, second = (context.registry.catalogue("acme", "fruit").id for context in contexts)
    assert first != second, "else ids would be the same"
