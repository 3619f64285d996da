from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.neighbour_votes import vote_shares
from service.core.voting import class_scores, confidences
from service.errors import CatalogueNotFound, EncoderMismatch, InvalidInput, NothingToServe
from service.records import Split
from service.usecases.catalogues import create_catalogue
from service.usecases.classify import Resolver, classify, classify_embeddings
from service.usecases.context import partition_of
from service.usecases.hints import to_optimise
from service.usecases.publish import activate, publish
from service.usecases.reading import read_pictures
from tests.fakes import FAKE_ENCODER, FakeEncoder, fake_context, fruit, ingested, picture, write_pictures
from tests.usecases.serving import LABELS, QUERIES, draft, fruit_of, member_ids, no_sleep, stocked, watched

LITTLE = f", and confidence says little before {to_optimise('fruit')}"


def published(context, **options):
    return publish(context, fruit_of(context), draft(context, **options), sleep=no_sleep)


def asked(count: int = 3) -> list[tuple[str, bytes]]:
    return [(f"new/{number}.png", picture(f"new{number}", seed=70_000 + number)) for number in range(count)]


@pytest.mark.parametrize("neighbours", [1, 3, 40])
def test_the_nearest_vote_where_the_selection_says_so(tmp_path, neighbours):
    context, catalogue = stocked(tmp_path)
    made = draft(context, each=3)
    made = replace(made, recipe=made.recipe | {"neighbours": neighbours}, members=made.members[:-1])
    made = replace(made, projections=made.projections[:-1])
    publish(context, catalogue, made, sleep=no_sleep)
    resolved = Resolver(context).resolve(catalogue, QUERIES, top=3)
    codes = np.array([LABELS.index(member.label) for member in made.members])
    expected = vote_shares(made.head.project(QUERIES) @ made.projections.T, codes, 3, neighbours)
    for prediction, row in zip(resolved.predictions, expected, strict=True):
        assert prediction.label == LABELS[row.argmax()]
        assert {one.label: one.score for one in prediction.top} == pytest.approx(
            dict(zip(LABELS, row.tolist(), strict=True)), abs=1e-5
        )
        assert len(prediction.neighbours) >= min(neighbours, len(codes))
        similarities = [one.similarity for one in prediction.neighbours]
        assert similarities == sorted(similarities, reverse=True)
    again = classify_embeddings(context, catalogue, QUERIES, top=1)[1]
    assert [one.confidence for one in again] == [one.confidence for one in resolved.predictions]


def support_scores(context, embeddings):
    """Brute force over the support examples: labels and scores (q, C)."""
    catalogue = fruit_of(context)
    support = context.registry.examples(catalogue.id, Split.SUPPORT)
    references = context.store.fetch(partition_of(catalogue), [one.id for one in support]).embeddings
    labels = sorted({one.label for one in support})
    codes = np.array([labels.index(one.label) for one in support])
    return labels, class_scores(embeddings @ references.T, codes, len(labels), 1)


def test_before_any_optimisation_all_support_examples_answer(tmp_path):
    context, _ = stocked(tmp_path)
    pictures = asked()
    read = read_pictures(context, FakeEncoder(), "acme", [data for _, data in pictures])
    labels, scores = support_scores(context, read.embeddings)
    results = [one.as_dict() for one in classify(context, "acme", "fruit", pictures)]
    assert [one["path"] for one in results] == [source for source, _ in pictures]
    assert [one["label"] for one in results] == [labels[code] for code in scores.argmax(axis=1)]
    assert [one["confidence"] for one in results] == pytest.approx(confidences(scores, 0.05), abs=1e-4)
    support = len(context.registry.examples(fruit_of(context).id, Split.SUPPORT))
    for one, row in zip(results, scores, strict=True):
        assert one["selection"] is None
        assert one["notes"] == [f"no optimisation yet: all {support} support examples answer{LITTLE}"]
        best = np.sort(row)[::-1]
        assert [scored["score"] for scored in one["top"]] == pytest.approx(best, abs=1e-5)
        assert one["margin"] == pytest.approx(best[0] - best[1], abs=1e-5)
        nearest = one["neighbours"][0]
        assert set(nearest) == {"id", "label", "similarity", "source"}
        assert nearest["label"] == one["label"]
        example = context.registry.example(fruit_of(context).id, nearest["id"])
        assert (example.label, example.source) == (nearest["label"], nearest["source"])
    json.dumps(results)


def test_a_stored_picture_finds_itself(tmp_path):
    context, catalogue = stocked(tmp_path)
    example = context.registry.examples(catalogue.id, Split.SUPPORT)[0]
    data = context.blobs.get(f"acme/images/{example.content_hash[:2]}/{example.content_hash}")
    (answer,) = classify(context, "acme", "fruit", [("it", data)])
    assert answer.prediction.label == example.label
    assert answer.prediction.neighbours[0].example_id == example.id
    assert answer.prediction.neighbours[0].similarity == pytest.approx(1.0)


def test_top_says_how_many_labels_are_named(tmp_path):
    context, _ = stocked(tmp_path)
    answers = {top: classify(context, "acme", "fruit", asked(1), top=top)[0] for top in (1, 2, 9)}
    assert [len(answers[top].prediction.top) for top in (1, 2, 9)] == [1, 2, 3]
    assert len({answer.prediction.confidence for answer in answers.values()}) == 1
    with pytest.raises(InvalidInput, match="top is 0"):
        classify(context, "acme", "fruit", asked(1), top=0)


def test_an_unusable_picture_leaves_the_others_unharmed(tmp_path):
    context, _ = stocked(tmp_path)
    good = asked(6)
    mixed = [*good[:2], ("broken.png", b"no picture"), *good[2:]]
    results = [one.as_dict() for one in classify(context, "acme", "fruit", mixed)]
    assert results[2] == {"path": "broken.png", "error": "the file is no picture: save it anew as JPEG or PNG"}
    alone = [one.as_dict() for one in classify(context, "acme", "fruit", good)]
    assert results[:2] + results[3:] == alone
    only_broken = classify(context, "acme", "fruit", [("broken.png", b"no picture")])
    assert [one.as_dict()["path"] for one in only_broken] == ["broken.png"]
    assert classify(context, "acme", "fruit", []) == []


def test_pictures_are_encoded_in_batches(tmp_path):
    context, _ = stocked(tmp_path)
    encoder = context.encoders.known[FAKE_ENCODER]
    encoder.batches.clear()
    classify(context, "acme", "fruit", asked(10))
    assert encoder.batches == [4, 4, 2]


def test_a_selection_says_which_it_is(tmp_path):
    context, _ = stocked(tmp_path)
    selection = published(context)
    (answer,) = classify(context, "acme", "fruit", asked(1))
    assert answer.as_dict()["selection"] == selection.id
    assert answer.notes == ()


def test_notes_say_what_an_answer_stands_on(tmp_path):
    context, _ = stocked(tmp_path / "first")
    published(context, pull=0.0)
    one_shot = picture("quince0", seed=3000)
    ingested(context, write_pictures(tmp_path / "late", {"quince/0.png": one_shot}), split="support")
    (answer,) = classify(context, "acme", "fruit", [("q", one_shot)])
    assert answer.prediction.label == "quince"
    assert answer.notes == (
        "one-shot: quince stands on one picture",
        "provisional: no optimisation has chosen references of quince yet, all its examples answer",
    )


def test_one_picture_a_class_is_one_shot(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit(1)), split="support")
    (answer,) = classify(context, "acme", "fruit", [("a", fruit(1)["apple/0.png"])])
    assert answer.prediction.label == "apple"
    assert answer.notes == (
        f"no optimisation yet: all 2 support examples answer{LITTLE}",
        "one-shot: apple stands on one picture",
        "one-shot: pear stands on one picture",
    )
    (alone,) = classify(context, "acme", "fruit", [("a", fruit(1)["apple/0.png"])], top=1)
    assert alone.notes == answer.notes, "what is told does not hang on how many labels are named"
    assert [scored.label for scored in alone.prediction.top] == ["apple"]
    assert {neighbour.label for neighbour in alone.prediction.neighbours} == {"apple"}


def test_a_runner_up_that_no_optimisation_chose_is_told_too(tmp_path):
    context, _ = stocked(tmp_path / "first", labels=("apple",))
    published(context, pull=0.0)
    late = {f"quince/{number}.png": picture(f"quince{number}", seed=3000 + number) for number in range(2)}
    ingested(context, write_pictures(tmp_path / "late", late), split="support")
    known = [(str(path), path.read_bytes()) for path in sorted((tmp_path / "first" / "apple").iterdir())]
    answers = classify(context, "acme", "fruit", [*known, *late.items()])
    assert {answer.prediction.label for answer in answers} == {"apple", "quince"}
    note = "provisional: no optimisation has chosen references of quince yet, all its examples answer"
    assert {answer.notes for answer in answers} == {(note,)}


@pytest.mark.parametrize("top", [1, 5])
def test_one_class_only_is_told(tmp_path, top):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit(3, ["apple"])), split="support")
    (answer,) = classify(context, "acme", "fruit", asked(1), top=top)
    assert answer.notes == (
        f"no optimisation yet: all 3 support examples answer{LITTLE}",
        "only one class is known: every picture gets it",
    )
    published(context, each=1)
    (answer,) = classify(context, "acme", "fruit", asked(1), top=top)
    assert answer.notes == ("only one class is known: every picture gets it",)


def test_where_nothing_can_answer_that_is_said(tmp_path):
    context = fake_context()
    with pytest.raises(CatalogueNotFound):
        classify(context, "acme", "fruit", asked(1))
    create_catalogue(context, "acme", "fruit", FAKE_ENCODER)
    with pytest.raises(NothingToServe, match="'fruit' is empty"):
        classify(context, "acme", "fruit", asked(1))
    ingested(context, write_pictures(tmp_path, fruit(3)), split="holdout")
    with pytest.raises(NothingToServe, match="no example that could answer"):
        classify(context, "acme", "fruit", asked(1))


def test_a_catalogue_without_an_encoder_has_nothing_to_serve():
    context = fake_context()
    catalogue = create_catalogue(context, "acme", "fruit", FAKE_ENCODER)
    with pytest.raises(NothingToServe):
        Resolver(context).resolve(catalogue, QUERIES, 5)


def test_another_encoder_is_refused_with_both_fingerprints(tmp_path):
    context, catalogue = stocked(tmp_path)
    other = FakeEncoder("other")
    context.encoders.known[FAKE_ENCODER] = other
    with pytest.raises(EncoderMismatch) as refusal:
        classify(context, "acme", "fruit", asked(1))
    assert catalogue.fingerprint.weights_sha256 in refusal.value.message
    assert other.fingerprint.weights_sha256 in refusal.value.message


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_query_is_asked_once_more_when_the_pointer_moved(tmp_path, rewritten):
    """Also when it was under way for so long that its slot has been written anew, so that it found nothing."""
    context, _ = stocked(tmp_path)
    first = published(context)
    second = published(context, skip=1, seed=1)
    expected = classify_embeddings(context, fruit_of(context), QUERIES, 5)
    activate(context, "acme", "fruit", first.id, sleep=no_sleep)
    seen, store = watched(context)

    def move(name, arguments):
        if store.calls == ["nearest_per_label"]:
            activate(context, "acme", "fruit", second.id, sleep=no_sleep)
            if rewritten:
                context.store.unflag(partition_of(fruit_of(context)), "a", sorted(member_ids(context, first.id)))

    if rewritten:
        store.before = move
    else:
        store.after = move
    selection, predictions = classify_embeddings(seen, fruit_of(context), QUERIES, 5)
    assert store.calls == ["nearest_per_label"] * 2
    assert (selection, predictions) == expected
    assert selection == second.id


def test_a_resolver_reads_a_head_once_and_its_slot_every_time(tmp_path):
    context, _ = stocked(tmp_path)
    first = published(context)
    gets = []
    get = context.blobs.get
    context.blobs.get = lambda key: gets.append(key) or get(key)
    resolver = Resolver(context)
    before = resolver.resolve(fruit_of(context), QUERIES, 5)
    assert resolver.resolve(fruit_of(context), QUERIES, 5).predictions == before.predictions
    assert gets == [first.head_blob]
    published(context, skip=1, seed=1)
    published(context, each=3, seed=2)
    activate(context, "acme", "fruit", first.id, sleep=no_sleep)
    again = resolver.resolve(fruit_of(context), QUERIES, 5)
    assert (before.serving.using, again.serving.using) == ("projection_a", "projection_b")
    assert again.predictions == before.predictions


def test_a_resolver_forgets_the_heads_used_longest_ago(tmp_path):
    context, _ = stocked(tmp_path)
    resolver = Resolver(context)
    for seed in range(10):
        published(context, seed=seed)
        resolver.resolve(fruit_of(context), QUERIES, 5)
    assert len(resolver._published) == 8
    assert fruit_of(context).active_selection in resolver._published


def test_an_unusable_embedding_is_no_answer(tmp_path):
    context, _ = stocked(tmp_path)
    broken = FakeEncoder()
    broken.encode = lambda inputs: np.zeros((len(inputs), 8), dtype=np.float32)
    context = replace(context, encoders=context.encoders)
    context.encoders.known[FAKE_ENCODER] = broken
    with pytest.raises(InvalidInput, match="the encoder gave unusable embeddings"):
        classify(context, "acme", "fruit", asked(1))
