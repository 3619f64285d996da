"""Classes that start from words: what is stored, and what is answered before and after pictures and optimisations."""

import numpy as np
import pytest

from service.core.words import IMAGE_SCALE, TEXT_SCALE, Blend
from service.errors import CatalogueNotFound, EncoderMismatch, InvalidInput, LabelNotFound, NotFound, NothingToServe
from service.usecases.catalogues import create_catalogue, delete_catalogue
from service.usecases.classes import delete_label, rename_label
from service.usecases.classify import Resolver, classify
from service.usecases.describing import (
    DEFAULT_TEMPLATES,
    FIGURES,
    as_dict,
    blend_of,
    describe,
    description,
    descriptions,
    forget_description,
)
from service.usecases.evaluate import evaluate_pictures
from service.usecases.optimise import run_optimise, start_optimise
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.publish import publish
from service.usecases.scoring import Labelled
from tests.fakes import fake_context, fruit, ingested, write_pictures
from tests.usecases.archives import archived, imported
from tests.usecases.serving import draft, fruit_of, no_sleep
from tests.usecases.talking import TALKING, TalkingEncoder, shown, talking_context, unit

APPLE, PEAR, PLUM = unit(1, 0, 0, 0.2), unit(0, 1, 0, 0.2), unit(0, 0, 1, 0.2)
TEXTS = {
    "a photo of an apple": unit(0.3, 0, 0, 0, 1),
    "apple pie": unit(0.5, 0, 0, 0, 0, 1),
    "a photo of an pear": unit(0, 0.3, 0, 0, 1),
    "a photo of an plum": unit(0, 0, 0.3, 0, 1),
}
TEMPLATE = "a photo of an {label}"


def answer(context, row, **options):
    (one,) = classify(context, "acme", "fruit", [("query", shown(row))], **options)
    return one


def scores(one):
    return {each.label: each.score for each in one.prediction.top}


def similarity(row, *texts):
    """What the text score of a picture of this embedding is made of."""
    mean = np.mean([TEXTS[text] for text in texts], axis=0)
    pixels = np.round(row * 250)
    return float(pixels / np.linalg.norm(pixels) @ mean / np.linalg.norm(mean))


def with_pictures(context, folder, **pictures):
    """`count` pictures of each label around a row, all of them support."""
    files = {}
    for label, (row, count) in pictures.items():
        for number in range(count):
            near = row.copy()
            near[6] = 0.02 * number
            files[f"{label}/{number}.png"] = shown(near, f"{label}{number}")
    return ingested(context, write_pictures(folder, files), split="support", encoder=TALKING)


@pytest.fixture
def context():
    context = talking_context(TEXTS)
    create_catalogue(context, "acme", "fruit", TALKING)
    return context


def test_what_is_kept_is_the_unit_mean_of_the_texts(context):
    prompts = describe(context, "acme", "fruit", " apple ", [TEMPLATE, "{label} pie", TEMPLATE])
    assert as_dict(prompts) == {"label": "apple", "templates": [TEMPLATE, "{label} pie"], "made_at": 1e6}
    mean = (TEXTS["a photo of an apple"] + TEXTS["apple pie"]) / 2
    np.testing.assert_allclose(np.frombuffer(prompts.embedding, "<f4"), mean / np.linalg.norm(mean), atol=1e-6)
    assert descriptions(context, "acme", "fruit") == [prompts]
    assert description(context, "acme", "fruit", "apple") == prompts


def test_default_templates_are_taken_where_none_is_given():
    texts = {one.replace("{label}", "kiwi"): unit(1, number) for number, one in enumerate(DEFAULT_TEMPLATES)}
    context = talking_context(texts)
    create_catalogue(context, "acme", "fruit", TALKING)
    assert describe(context, "acme", "fruit", "kiwi").templates == DEFAULT_TEMPLATES


def test_a_catalogue_may_begin_with_words_alone(context):
    with pytest.raises(NothingToServe):
        answer(context, APPLE)
    for label in ("apple", "pear"):
        describe(context, "acme", "fruit", label, [TEMPLATE])
    one = answer(context, APPLE)
    told = {label: similarity(APPLE, f"a photo of an {label}") for label in ("apple", "pear")}
    expected = {label: IMAGE_SCALE.middle + IMAGE_SCALE.spread * (s - TEXT_SCALE.middle) / TEXT_SCALE.spread
                for label, s in told.items()}  # fmt: skip
    assert one.prediction.label == "apple"
    assert scores(one) == pytest.approx(expected, abs=1e-5)
    assert one.prediction.neighbours == ()
    assert one.notes == (
        "no optimisation yet, and no pictures: words alone answer",
        "words: apple stands on words alone, no picture answers for it",
        "words: pear stands on words alone, no picture answers for it",
    )


def test_words_fade_as_pictures_arrive(context, tmp_path):
    describe(context, "acme", "fruit", "apple", [TEMPLATE])
    describe(context, "acme", "fruit", "plum", [TEMPLATE])
    blend = Blend()
    moved = []
    for count in (1, 4, 20):
        with_pictures(context, tmp_path / str(count), apple=(APPLE, count), pear=(PEAR, 2))
        one = answer(context, APPLE, top=3)
        image = one.prediction.neighbours[0].similarity
        text = blend.on_image_scale(similarity(APPLE, "a photo of an apple"))
        expected = (1 - 1 / (1 + count)) * image + text / (1 + count)
        assert scores(one)["apple"] == pytest.approx(expected, abs=1e-5)
        moved.append(abs(scores(one)["apple"] - image))
        assert scores(one)["pear"] == pytest.approx(one.prediction.neighbours[-1].similarity, abs=1e-6)
        assert scores(one)["plum"] == pytest.approx(
            blend.on_image_scale(similarity(APPLE, "a photo of an plum")), abs=1e-5
        )
        assert not any("apple stands on words" in note for note in one.notes)
    assert moved[0] == pytest.approx(10.5 * moved[2], rel=1e-3)
    assert moved == sorted(moved, reverse=True)
    assert answer(context, PLUM).prediction.label == "plum"
    assert "words: plum stands on words alone, no picture answers for it" in answer(context, PLUM).notes


def test_the_same_answers_as_without_words_once_they_are_gone(context, tmp_path):
    with_pictures(context, tmp_path, apple=(APPLE, 3), pear=(PEAR, 3))
    before = answer(context, unit(1, 0.9))
    describe(context, "acme", "fruit", "pear", [TEMPLATE])
    resolver = Resolver(context)
    catalogue = fruit_of(context)
    rows = unit(1, 0.9)[None]
    assert resolver.resolve(catalogue, rows, 2).predictions[0].top != before.prediction.top
    forget_description(context, "acme", "fruit", "pear")
    assert resolver.resolve(catalogue, rows, 2).serving.selection is None
    assert answer(context, unit(1, 0.9)).prediction == before.prediction
    with pytest.raises(NotFound, match="has no prompts"):
        forget_description(context, "acme", "fruit", "pear")
    with pytest.raises(NotFound, match="'pear' of catalogue 'fruit' has no prompts"):
        description(context, "acme", "fruit", "pear")


def test_a_resolver_sees_words_that_change(context):
    describe(context, "acme", "fruit", "apple", [TEMPLATE])
    resolver = Resolver(context)
    first = resolver.resolve(fruit_of(context), APPLE[None], 2).predictions[0]
    describe(context, "acme", "fruit", "apple", ["{label} pie"])
    second = resolver.resolve(fruit_of(context), APPLE[None], 2).predictions[0]
    assert first.top[0].score != second.top[0].score
    describe(context, "acme", "fruit", "pear", [TEMPLATE])
    assert len(resolver.resolve(fruit_of(context), APPLE[None], 2).predictions[0].top) == 2


def test_behind_a_selection_words_are_compared_in_the_raw_space(context, tmp_path):
    with_pictures(context, tmp_path, apple=(APPLE, 4), pear=(PEAR, 4))
    publish(context, fruit_of(context), draft(context, each=1), sleep=no_sleep)
    image = scores(answer(context, APPLE))
    describe(context, "acme", "fruit", "plum", [TEMPLATE])
    describe(context, "acme", "fruit", "pear", [TEMPLATE])
    one = answer(context, APPLE, top=3)
    blend = Blend()
    assert scores(one)["apple"] == pytest.approx(image["apple"], abs=1e-6)
    assert scores(one)["plum"] == pytest.approx(blend.on_image_scale(similarity(APPLE, "a photo of an plum")), abs=1e-5)
    words = blend.on_image_scale(similarity(APPLE, "a photo of an pear"))
    assert scores(one)["pear"] == pytest.approx(0.8 * image["pear"] + 0.2 * words, abs=1e-5)
    assert one.selection == fruit_of(context).active_selection
    assert not any("provisional" in note and "plum" in note for note in one.notes)


def test_an_optimisation_measures_the_blend(context, tmp_path):
    rng = np.random.default_rng(0)
    files = {}
    for label, row in (("apple", APPLE), ("pear", PEAR), ("plum", PLUM)):
        for number in range(12):
            near = np.abs(row + rng.normal(0, 0.3, 8))
            files[f"{label}/{number}.png"] = shown((near / np.linalg.norm(near)).astype(np.float32), f"{label}{number}")
        describe(context, "acme", "fruit", label, [TEMPLATE])
    ingested(context, write_pictures(tmp_path, files), encoder=TALKING)
    job = start_optimise(context, "acme", "fruit", OptimiseRequest(trials=2))
    run_optimise(context, job.id)
    catalogue = fruit_of(context)
    figures = context.registry.selection(catalogue.id, catalogue.active_selection).figures
    blend = Blend.from_dict(figures[FIGURES])
    assert blend_of(figures, None) == blend
    assert Resolver(context).serving(catalogue).blend == blend
    assert figures[f"{FIGURES}_tried"][f"{blend.fade:g}"] == max(figures[f"{FIGURES}_tried"].values())
    assert 0.05 < blend.text.middle < 0.3
    assert blend.text.spread > 0.1
    assert answer(context, PLUM).prediction.label == "plum"


def test_an_optimisation_without_words_says_nothing_of_them(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit(8)))
    run_optimise(context, start_optimise(context, "acme", "fruit", OptimiseRequest(trials=1)).id)
    catalogue = fruit_of(context)
    assert FIGURES not in context.registry.selection(catalogue.id, catalogue.active_selection).figures


def test_pictures_of_a_class_of_words_can_be_judged(context):
    for label in ("apple", "pear"):
        describe(context, "acme", "fruit", label, [TEMPLATE])
    pictures = [Labelled("apple", lambda: shown(APPLE)), Labelled("pear", lambda: shown(PEAR))]
    assert evaluate_pictures(context, "acme", "fruit", pictures)["accuracy"] == 1


def test_words_go_with_their_class(context, tmp_path):
    for label in ("apple", "pear"):
        describe(context, "acme", "fruit", label, [TEMPLATE])
    with_pictures(context, tmp_path, pear=(PEAR, 2))
    assert rename_label(context, "acme", "fruit", "apple", "malus").relabelled == 0
    renamed = rename_label(context, "acme", "fruit", "pear", "pyrus")
    assert (renamed.relabelled, renamed.merged) == (2, False)
    assert [one.label for one in descriptions(context, "acme", "fruit")] == ["malus", "pyrus"]
    assert answer(context, APPLE).prediction.label == "malus"
    assert delete_label(context, "acme", "fruit", "malus").dropped == 0
    assert delete_label(context, "acme", "fruit", "pyrus").dropped == 2
    assert descriptions(context, "acme", "fruit") == []
    with pytest.raises(LabelNotFound):
        delete_label(context, "acme", "fruit", "malus")
    delete_catalogue(context, "acme", "fruit")


def test_words_are_in_an_archive(context, tmp_path):
    for label in ("apple", "plum"):
        describe(context, "acme", "fruit", label, [TEMPLATE, "{label} pie"] if label == "apple" else [TEMPLATE])
    with_pictures(context, tmp_path, apple=(APPLE, 2), pear=(PEAR, 2))
    other = talking_context(TEXTS)
    imported(other, archived(context), "fruit")
    assert descriptions(other, "acme", "fruit") == descriptions(context, "acme", "fruit")
    for row in (APPLE, PEAR, PLUM):
        assert scores(answer(other, row, top=3)) == pytest.approx(scores(answer(context, row, top=3)), abs=1e-6)


def test_what_cannot_be_described_says_so(context, tmp_path):
    silent = fake_context()
    ingested(silent, write_pictures(tmp_path, fruit(2)))
    with pytest.raises(InvalidInput, match="'fake' of catalogue 'fruit' knows pictures only"):
        describe(silent, "acme", "fruit", "apple", [TEMPLATE])
    with pytest.raises(CatalogueNotFound):
        describe(context, "acme", "nothing", "apple")
    for templates, told in (
        ([" "], "a template is empty"),
        (["x" * 501], "has 501 characters"),
        (["a\nb"], "control characters"),
        ([f"{number} {{label}}" for number in range(51)], "51 templates were given; at most 50"),
    ):
        with pytest.raises(InvalidInput, match=told):
            describe(context, "acme", "fruit", "apple", templates)
    context.encoders.known[TALKING].texts |= {"up": unit(1), "down": -unit(1)}
    with pytest.raises(InvalidInput, match="cancel out"):
        describe(context, "acme", "fruit", "apple", ["up", "down"])
    assert descriptions(context, "acme", "fruit") == []


def test_an_encoder_that_changed_describes_nothing(context):
    describe(context, "acme", "fruit", "apple", [TEMPLATE])
    changed = TalkingEncoder(TEXTS)
    changed.fingerprint = fake_context().encoders.load("fake").fingerprint
    context.encoders.known[TALKING] = changed
    with pytest.raises(EncoderMismatch):
        describe(context, "acme", "fruit", "pear", [TEMPLATE])
