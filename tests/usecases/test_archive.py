"""Export and import of a whole catalogue: the same answers, and never half of one."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from service.errors import AlreadyExists, CatalogueNotFound, InvalidInput, LeaseHeld, PublishIncomplete, Unavailable
from service.records import SelectionState, Split
from service.usecases.archive_import import import_catalogue, sweep_imports
from service.usecases.archive_reading import ArchiveLimits
from service.usecases.catalogues import delete_catalogue, list_catalogues, show_catalogue
from service.usecases.context import image_key, partition_of, report_key
from service.usecases.decide import relabel
from service.usecases.publish import activate, publish, reconcile
from service.usecases.resolver import Resolver
from tests.fakes import fake_context, fruit, ingested, write_pictures
from tests.usecases.archives import LIMITS, archived, imported, traces, unpacked, with_selections
from tests.usecases.serving import QUERIES, Killed, WatchedStore, draft, fruit_of, no_sleep, stocked


def answers(context, catalogue):
    return Resolver(context).resolve(catalogue, QUERIES, 3).predictions


def same(ours, theirs):
    """The same labels and sources in the same order, scores and similarities to a millionth."""
    assert [one.label for one in ours] == [one.label for one in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert [one.label for one in mine.top] == [one.label for one in other.top]
        assert np.allclose([one.score for one in mine.top], [one.score for one in other.top], atol=1e-6)
        assert mine.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert [one.source for one in mine.neighbours] == [one.source for one in other.neighbours]
        near = [[one.similarity for one in each.neighbours] for each in (mine, other)]
        assert np.allclose(*near, atol=1e-6)


@pytest.mark.parametrize("images", [True, False])
def test_an_imported_catalogue_answers_as_the_one_that_was_exported(tmp_path, images):
    context, catalogue = with_selections(tmp_path)
    other = fake_context()
    summary = imported(other, archived(context, images=images), "fruit")
    copy = fruit_of(other)
    assert copy.id != catalogue.id
    same(answers(other, copy), answers(context, catalogue))
    assert summary.labels == {"apple": 8, "pear": 8, "plum": 8}
    assert len([key for key in other.blobs.data if "/images/" in key]) == (24 if images else 0)


def test_rows_payloads_selections_and_findings_are_the_same(tmp_path):
    context, catalogue = with_selections(tmp_path)
    ingested(context, write_pictures(tmp_path / "wrong", {"plum/same.png": fruit(8)["apple/0.png"]}))
    first = context.registry.examples(catalogue.id)[0]
    context.registry.keep_findings(catalogue.id, {first.id: ["outlier", "label"]})
    support = [one.id for one in context.registry.examples(catalogue.id, Split.SUPPORT)]
    context.store.set_payload(partition_of(catalogue), {one: {"centrality": 0.25} for one in support[:2]})
    other = next(one for one in context.registry.examples(catalogue.id) if one.id != first.id)
    context.clock.now += 10
    relabel(context, "acme", "fruit", other.id, "quince")
    imported(context, archived(context))
    copy = context.registry.catalogue("acme", "copy")

    def described(one):
        rows = {row.id: row for row in context.registry.examples(one.id)}
        points = context.store.fetch(partition_of(one), list(rows))
        kept = context.registry.kept_findings(one.id)
        return {
            rows[id_].content_hash: (
                replace(rows[id_], id="", catalogue_id=""),
                {k: v for k, v in payload.items() if k not in ("catalogue", "selection_a", "selection_b")},
                row.tobytes(),
                kept.get(id_),
                context.registry.relabellings(one.id).get(id_),
            )
            for id_, payload, row in zip(points.ids, points.payloads, points.embeddings, strict=True)
        }

    assert described(copy) == described(fruit_of(context))
    changed = show_catalogue(context, "acme", "copy").changed
    assert changed == show_catalogue(context, "acme", "fruit").changed
    assert changed is not None
    assert changed["into"] == {"quince": 1}

    def selected(one):
        found = []
        for selection in context.registry.selections(one.id):
            rows = {row.id: row.content_hash for row in context.registry.examples(one.id)}
            members = [
                (rows[m.example_id], m.label, m.centrality, m.provisional)
                for m in context.registry.members(selection.id)
            ]
            kept = (
                "recipe",
                "figures",
                "thresholds",
                "seed",
                "why",
                "measured_on",
                "split_hash",
                "created_at",
                "state",
            )
            found.append(({name: getattr(selection, name) for name in kept}, sorted(members)))
        return found

    assert selected(copy) == selected(fruit_of(context))
    assert {one.state for one in context.registry.selections(copy.id)} == {
        SelectionState.ACTIVE,
        SelectionState.RETIRED,
    }


def test_what_was_exported_without_a_selection_answers_by_its_support_examples(tmp_path):
    context, catalogue = stocked(tmp_path)
    imported(context, archived(context))
    copy = context.registry.catalogue("acme", "copy")
    assert copy.active_selection is None
    same(answers(context, copy), answers(context, catalogue))


def test_an_empty_catalogue_comes_back_empty():
    context = fake_context()
    context.registry.create_catalogue("acme", "fruit", "fake")
    assert imported(context, archived(context)).examples == dict.fromkeys(
        ("support", "tuning", "holdout", "unassigned"), 0
    )


def test_a_former_selection_of_the_copy_can_be_activated(tmp_path):
    context, _ = with_selections(tmp_path)
    other = fake_context()
    imported(other, archived(context), "fruit")
    for ctx in (context, other):
        first = ctx.registry.selections(fruit_of(ctx).id)[-1]
        activate(ctx, "acme", "fruit", first.id, sleep=no_sleep)
    same(answers(other, fruit_of(other)), answers(context, fruit_of(context)))
    assert reconcile(other, fruit_of(other)) == 0


def test_single_judgements_are_of_the_copys_own_examples(tmp_path):
    context, catalogue = with_selections(tmp_path)
    rows = context.registry.examples(catalogue.id)
    ids = [rows[5].id, "00000000-0000-0000-0000-000000000000", rows[2].id]
    report = {"judged": {"ids": ids, "truth": [0, 1, 2], "predicted": [0, 2, -1], "confidence": [0.5, 0.6, 0.7]}}
    context.blobs.put(report_key("acme", catalogue.active_selection), json.dumps(report).encode())
    imported(context, archived(context))
    copy = context.registry.catalogue("acme", "copy")
    kept = json.loads(context.blobs.get(report_key("acme", copy.active_selection)))["judged"]
    hashes = [context.registry.example(copy.id, one).content_hash for one in kept["ids"]]
    assert hashes == [rows[5].content_hash, rows[2].content_hash]
    assert (kept["truth"], kept["predicted"], kept["confidence"]) == ([0, 2], [0, -1], [0.5, 0.7])


def test_parts_hold_so_many_examples_and_come_back_together(tmp_path, monkeypatch):
    monkeypatch.setattr("service.usecases.archive_export.PAGE_EXAMPLES", 5)
    context, catalogue = with_selections(tmp_path)
    data = archived(context)
    assert sum(name.startswith("embeddings/") for name in unpacked(data)) == 5
    imported(context, data)
    same(answers(context, context.registry.catalogue("acme", "copy")), answers(context, catalogue))


def test_a_picture_whose_bytes_are_gone_is_exported_without_them(tmp_path):
    context, catalogue = with_selections(tmp_path)
    gone = context.registry.examples(catalogue.id)[3].content_hash
    context.blobs.delete([image_key("acme", gone)])
    members = unpacked(archived(context))
    assert json.loads(members["manifest.json"])["counts"]["images"] == 23
    assert f"images/{gone}" not in members
    imported(context, archived(context))


def test_examples_that_come_and_go_while_it_is_written_leave_it_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("service.usecases.archive_export.PAGE_EXAMPLES", 6)
    monkeypatch.setattr("service.usecases.example_pages.PAGE", 6)
    context, catalogue = with_selections(tmp_path)
    watched = WatchedStore(context.store)
    rows = context.registry.examples(catalogue.id)

    def meanwhile(name, _):
        if name != "fetch" or watched.calls.count("fetch") != 2:
            return
        gone = [rows[1].id, rows[7].id, rows[20].id]  # written already, being read, to come
        context.registry.delete_examples(catalogue.id, gone)
        context.store.delete(partition_of(catalogue), gone)
        context.registry.relabel_example(catalogue.id, rows[22].id, "melon", rows[22].split)
        publish(context, fruit_of(context), draft(context, seed=4), sleep=no_sleep)

    watched.before = meanwhile
    data = archived(replace(context, store=watched))
    other = fake_context()
    imported(other, data, "fruit")
    held = {one.content_hash for one in other.registry.examples(fruit_of(other).id)}
    assert rows[1].content_hash in held
    assert rows[7].content_hash not in held
    assert len(other.registry.selections(fruit_of(other).id)) == 2
    assert len(answers(other, fruit_of(other))) == len(QUERIES)


def test_an_ingest_that_was_going_on_leaves_no_example_without_a_split(tmp_path):
    context, catalogue = stocked(tmp_path)
    rows = context.registry.examples(catalogue.id)
    context.registry.set_splits(catalogue.id, {one.id: Split.UNASSIGNED for one in rows[:5]})
    assert imported(context, archived(context)).examples["unassigned"] == 0
    copy = context.registry.catalogue("acme", "copy")
    assert reconcile(context, copy) == 0, "payloads say what the rows say"


def test_a_name_that_is_taken_is_refused_and_left_alone(tmp_path):
    context, _ = with_selections(tmp_path)
    before = traces(context)
    with pytest.raises(AlreadyExists):
        imported(context, archived(context), "fruit")
    assert traces(context) == before


def test_a_name_that_is_taken_meanwhile_is_refused_and_nothing_is_left(tmp_path):
    context, _ = with_selections(tmp_path)
    data = archived(context)
    watched = WatchedStore(context.store)
    watched.before = lambda name, _: (
        context.registry.create_catalogue("acme", "copy", "fake")
        if name == "flag" and watched.calls.count("flag") == 1
        else None
    )
    before = traces(context)
    with pytest.raises(AlreadyExists):
        imported(replace(context, store=watched), data)
    delete_catalogue(context, "acme", "copy")
    assert traces(context) == before


def test_another_tenant_gets_its_own_bytes_and_nothing_of_the_first(tmp_path):
    context, _ = with_selections(tmp_path)
    imported(context, archived(context), "fruit", tenant="bolt")
    delete_catalogue(context, "acme", "fruit")
    copy = context.registry.catalogue("bolt", "fruit")
    assert len(answers(context, copy)) == len(QUERIES)
    assert sum(key.startswith("bolt/images/") for key in context.blobs.data) == 24
    assert not any(key.startswith("acme/") for key in context.blobs.data)


@pytest.mark.parametrize("step", ["open_collection", "insert", "set_payload", "flag", "ids"])
@pytest.mark.parametrize("error", [Unavailable("the store does not answer"), KeyboardInterrupt()])
def test_a_failed_import_leaves_nothing_behind(tmp_path, step, error):
    context, catalogue = with_selections(tmp_path)
    central = {one.id: {"centrality": 0.5} for one in context.registry.examples(catalogue.id)}
    context.store.set_payload(partition_of(catalogue), central)
    data = archived(context)
    watched = WatchedStore(context.store)
    before = traces(context)

    def fail(name, _):
        if name == step:
            raise error

    watched.after = fail
    with pytest.raises(type(error)):
        imported(replace(context, store=watched), data)
    assert step in watched.calls
    assert traces(context) == before
    assert context.registry.imports() == []
    imported(context, data)


def killed_at(context, data, step):
    """The import's process dies there: nothing of it runs any more, also nothing that would clean up."""
    watched = WatchedStore(context.store)
    dead = []

    def kill(name, _):
        if dead or name == step:
            dead.append(name)
            raise Killed

    watched.before = kill
    registry = context.registry
    frozen = _Dying(registry, dead)
    with pytest.raises(Killed):
        imported(replace(context, store=watched, registry=frozen), data)
    assert dead


class _Dying:
    """A registry that answers until the process is dead."""

    def __init__(self, registry, dead):
        self._registry, self._dead = registry, dead

    def __getattr__(self, name):
        if self._dead:
            raise Killed
        return getattr(self._registry, name)


@pytest.mark.parametrize("step", ["insert", "flag"])
def test_after_a_kill_the_sweeper_removes_what_was_built(tmp_path, step):
    context, _ = with_selections(tmp_path)
    data = archived(context)
    before = traces(context)
    killed_at(context, data, step)
    assert traces(context) != before, "the kill came too early to show anything"
    (half,) = context.registry.imports()
    assert [one.name for one in list_catalogues(context, "acme")] == ["fruit"]
    with pytest.raises(CatalogueNotFound):
        context.registry.catalogue("acme", half.name)
    assert sweep_imports(context) == 0, "its lease has not run out: somebody may be at work"
    context.clock.now += context.limits.job_lease_s + 1
    assert sweep_imports(context) == 1
    assert traces(context) == before
    assert sweep_imports(context) == 0


def test_an_import_that_lost_its_lease_does_not_show_its_catalogue(tmp_path):
    context, _ = with_selections(tmp_path)
    data = archived(context)
    before = traces(context)
    watched = WatchedStore(context.store)

    def asleep(name, _):
        if name == "flag" and watched.calls.count("flag") == 1:
            context.clock.now += context.limits.job_lease_s + 1
            assert sweep_imports(context) == 1

    watched.before = asleep
    with pytest.raises((LeaseHeld, CatalogueNotFound, PublishIncomplete)):
        imported(replace(context, store=watched), data)
    assert traces(context) == before


def test_what_it_unpacks_to_is_bounded(tmp_path):
    context, _ = with_selections(tmp_path)
    data = archived(context)
    size = sum(map(len, unpacked(data).values()))
    imported(context, data, limits=ArchiveLimits(size))
    with pytest.raises(InvalidInput, match=str(size)):
        imported(context, data, "more", limits=ArchiveLimits(size - 1))
    with pytest.raises(InvalidInput, match="members"):
        imported(context, data, "more", limits=replace(LIMITS, members=5))


def test_the_archive_is_streamed_in_pieces(tmp_path):
    from service.usecases.archive_export import PIECE_BYTES, export_catalogue

    context, catalogue = stocked(tmp_path)
    big = json.dumps(
        json.loads(context.blobs.get(image_key("acme", context.registry.examples(catalogue.id)[0].content_hash)))
    )
    for one in context.registry.examples(catalogue.id):
        context.blobs.put(image_key("acme", one.content_hash), big.encode() + b" " * 100_000)
    pieces = list(export_catalogue(context, "acme", "fruit", images=True))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < PIECE_BYTES + 200_000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None


def test_there_is_no_archive_of_a_catalogue_that_is_not_there():
    with pytest.raises(CatalogueNotFound):
        archived(fake_context())


def test_a_name_that_cannot_be_one_is_refused(tmp_path):
    context, _ = stocked(tmp_path)
    with pytest.raises(InvalidInput, match="name"):
        import_catalogue(context, "acme", ".copy", io.BytesIO(archived(context)), LIMITS)
