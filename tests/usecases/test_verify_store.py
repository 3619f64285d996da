"""What a verification says of a store that something was taken from, and what a repair brings back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.ports import Point
from service.records import ExampleState
from service.usecases.context import embedding_key, image_key, partition_of, references_key
from service.usecases.verify_store import verify_store
from tests.usecases.archives import archived, imported, with_selections
from tests.usecases.serving import WatchedStore, answers, fruit_of


@pytest.fixture
def held(tmp_path):
    """Acme's "fruit" with a selection that serves."""
    context, catalogue = with_selections(tmp_path)
    assert verify_store(context, mend=False, alone=True).found == ()
    return context, catalogue


def kinds(findings):
    return {one.kind.value: set(one.names) for one in findings}


def members_of(context, catalogue):
    selection = context.registry.selection(catalogue.id, catalogue.active_selection)
    return selection, sorted(member.example_id for member in context.registry.members(selection.id))


def points_of(context, catalogue):
    """What the store says of the points, but for times, centralities and flags of what serves no more."""
    partition = partition_of(catalogue)
    points = context.store.fetch(partition, context.store.ids(partition, {}))
    passing = {"centrality", "created_at"}
    payloads = [
        {
            key: value
            for key, value in payload.items()
            if key not in passing and (not key.startswith("selection_") or value == catalogue.active_selection)
        }
        for payload in points.payloads
    ]
    return points.ids, payloads, points.embeddings.tobytes()


def test_points_that_are_gone_come_back_with_their_flags_and_answer_the_same(held):
    context, catalogue = held
    before, answered = points_of(context, catalogue), answers(context)
    _, members = members_of(context, catalogue)
    context.store.delete_partition(partition_of(catalogue))
    report = verify_store(context, mend=True, alone=True)
    assert set(kinds(report.found)) == {"point missing", "flag missing"}
    assert kinds(report.found)["flag missing"] == set(members)
    assert report.left == ()
    assert points_of(context, catalogue) == before
    assert answers(context) == answered


def test_nothing_is_written_unless_it_is_asked_for(held):
    context, catalogue = held
    context.store.delete(partition_of(catalogue), members_of(context, catalogue)[1][:1])
    report = verify_store(context, mend=False, alone=True)
    assert report.left == report.found != ()
    assert verify_store(context, mend=False, alone=True).found == report.found


def test_payloads_flags_and_lone_points(held):
    context, catalogue = held
    partition = partition_of(catalogue)
    before = points_of(context, catalogue)
    selection, members = members_of(context, catalogue)
    others = [one for one in context.store.ids(partition, {}) if one not in members]
    embedding = context.store.fetch(partition, members[:1]).embeddings[0]
    lone = "00000000-0000-5000-8000-000000000001"
    context.store.insert(
        partition, [Point(lone, embedding, {"label": "apple", "split": "support", "content_hash": "h"})]
    )
    context.store.set_payload(partition, {others[0]: {"label": "pebble"}, others[1]: {"split": "nowhere"}})
    context.store.unflag(partition, selection.slot, members[:1])
    projection = np.eye(1, 5, dtype=np.float32)
    context.store.flag(partition, selection.slot, selection.id, others[:1], projection)
    context.store.flag(partition, "a" if selection.slot == "b" else "b", "nobody's", others[2:3], projection)

    report = verify_store(context, mend=True, alone=True)
    assert kinds(report.found) == {
        "point without row": {lone},
        "payload": set(others[:2]),
        "flag missing": set(members[:1]),
        "flag too many": {others[0], others[2]},
    }
    assert report.left == ()
    assert points_of(context, catalogue) == before


def test_an_embedding_is_mended_from_the_stored_one_and_the_other_way_round(held):
    context, catalogue = held
    partition, tenant = partition_of(catalogue), catalogue.tenant
    before, answered = points_of(context, catalogue), answers(context)
    _, (first, second, *_) = members_of(context, catalogue)
    rows = context.registry.examples_by_id(catalogue.id, [first, second])
    wrong = context.store.fetch(partition, [first])
    context.store.delete(partition, [first])
    turned = np.roll(wrong.embeddings[0], 1)
    payload = {key: wrong.payloads[0][key] for key in ("label", "split", "content_hash")}
    context.store.insert(partition, [Point(first, turned, payload)])
    key = embedding_key(tenant, catalogue.fingerprint.digest, rows[second].picture)
    kept = context.blobs.get(key)
    context.blobs.put(key, kept[:40])

    report = verify_store(context, mend=True, alone=True)
    assert kinds(report.found) == {"embedding": {first}, "embedding missing": {second}, "flag missing": {first}}
    assert report.left == ()
    assert context.blobs.get(key) == kept
    assert points_of(context, catalogue)[2] == before[2]
    assert answers(context) == answered


def test_what_has_neither_point_nor_stored_embedding_is_encoded_anew(held):
    context, catalogue = held
    before = points_of(context, catalogue)
    context.store.delete_partition(partition_of(catalogue))
    context.blobs.delete(context.blobs.keys(f"{catalogue.tenant}/embeddings/"))
    report = verify_store(context, mend=True, alone=True)
    assert set(kinds(report.found)) == {"point missing", "embedding missing", "flag missing"}
    assert report.left == ()
    assert points_of(context, catalogue) == before


def test_what_cannot_be_made_again_is_left_and_told(held):
    context, catalogue = held
    rows = context.registry.examples(catalogue.id)
    context.blobs.delete([image_key(catalogue.tenant, rows[0].content_hash)])
    context.blobs.put(image_key(catalogue.tenant, rows[1].content_hash), b"another picture")
    references = references_key(catalogue.tenant, catalogue.active_selection)
    context.blobs.delete([references])
    report = verify_store(context, mend=True, alone=True)
    expected = {"picture missing": {rows[0].id}, "picture changed": {rows[1].id}, "selection bytes": {references}}
    assert kinds(report.found) == kinds(report.left) == expected
    told = report.as_dict()["left"][0]
    assert told["count"] == 1
    assert told["tenant"] == "acme"


def test_stray_bytes_are_told_and_deleted_only_where_nobody_else_is_at_work(held):
    context, catalogue = held
    stray = image_key(catalogue.tenant, "0" * 64)
    context.blobs.put(stray, b"of a picture that was never handed over")
    assert verify_store(context, mend=True, alone=False).found == ()
    assert kinds(verify_store(context, mend=False, alone=True).left) == {"stray bytes": {stray}}
    assert verify_store(context, mend=True, alone=True).left == ()
    assert not context.blobs.exists(stray)


def test_what_changes_between_two_looks_is_no_finding(held):
    """A row is relabelled before its point is told so: whoever compares just then has to look again."""
    context, catalogue = held
    watched = WatchedStore(context.store)
    context = replace(context, store=watched)
    example = next(one for one in context.registry.examples(catalogue.id) if one.state is ExampleState.ACTIVE)
    context.store.store.set_payload(partition_of(catalogue), {example.id: {"label": "on its way"}})

    def arrive(name, _arguments):
        if name == "fetch":
            watched.after = lambda *_: None
            watched.store.set_payload(partition_of(catalogue), {example.id: {"label": example.label}})

    watched.after = arrive
    assert verify_store(context, mend=False, alone=False).found == ()
    assert fruit_of(context).id == catalogue.id


def test_a_catalogue_that_came_without_pictures_lacks_none_and_its_points_can_be_made_again(held):
    context, _ = held
    imported(context, archived(context, images=False), name="copy", tenant="other")
    copy = context.registry.catalogue("other", "copy")
    assert verify_store(context, mend=False, alone=True).found == ()
    before = points_of(context, copy)
    context.store.delete_partition(partition_of(copy))
    report = verify_store(context, mend=True, alone=True)
    assert set(kinds(report.found)) == {"point missing", "flag missing"}
    assert report.left == ()
    assert points_of(context, copy) == before
