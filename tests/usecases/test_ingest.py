"""Ingest as a user sees it: hand over, embed, report; the same folder twice; conflicts; many kinds of failure."""

from pathlib import Path

import pytest

from service.errors import InvalidInput, JobFailed
from service.ports import EmbedChunk, FinishIngest
from service.records import ItemState, JobState, Split
from service.usecases import files
from service.usecases.context import image_key, partition_of
from service.usecases.ingest import ingest_report, start_ingest
from service.usecases.sweep import sweep
from tests.fakes import FAKE_ENCODER, fake_context, fruit, ingested, picture, write_pictures


def points(context, name="fruit"):
    catalogue = context.registry.catalogue("acme", name)
    partition = partition_of(catalogue)
    stored = context.store.fetch(partition, context.store.ids(partition, {}))
    return dict(zip(stored.ids, stored.payloads, strict=True))


def splits(context, name="fruit"):
    rows = context.registry.examples(context.registry.catalogue("acme", name).id)
    return {one.content_hash: one.split for one in rows}


def test_a_folder_becomes_examples(tmp_path):
    context = fake_context()
    report = ingested(context, write_pictures(tmp_path, fruit()))
    assert {key: report[key] for key in ("stored", "duplicate", "conflict", "failed", "errors", "conflicts")} == {
        "stored": 12,
        "duplicate": 0,
        "conflict": 0,
        "failed": 0,
        "errors": [],
        "conflicts": [],
    }
    assert report["images_per_s"] == 0.0, "the clock stands still"
    stored = points(context)
    assert len(stored) == 12
    payload = next(iter(stored.values()))
    assert set(payload) == {
        *("tenant", "catalogue", "label", "split", "content_hash", "source"),
        *("width_px", "height_px", "created_at", "centrality"),
    }
    assert payload["centrality"] is None
    by_split = {name: sum(one["split"] == name for one in stored.values()) for name in ("support", "tuning", "holdout")}
    assert by_split == {"support": 8, "tuning": 2, "holdout": 2}
    rows = context.registry.examples(context.registry.catalogue("acme", "fruit").id)
    assert {one.id: one.split.value for one in rows} == {key: one["split"] for key, one in stored.items()}


def test_the_same_folder_twice_changes_nothing(tmp_path):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit())
    ingested(context, folder)
    before = points(context), splits(context), dict(context.blobs.data)
    report = ingested(context, folder)
    assert (report["stored"], report["duplicate"]) == (0, 12)
    assert (points(context), splits(context), context.blobs.data) == before
    assert context.encoders.known[FAKE_ENCODER].encoded == 12


def test_in_two_steps_or_one_the_points_are_the_same(tmp_path):
    context = fake_context()
    pictures = fruit(20)
    first = write_pictures(tmp_path / "first", dict(list(pictures.items())[::2]))
    ingested(context, first)
    kept = splits(context)
    ingested(context, write_pictures(tmp_path / "both", pictures))
    assert {key: value for key, value in splits(context).items() if key in kept} == kept
    assert {one["content_hash"] for one in points(context).values()} == set(splits(context))
    assert len(points(context)) == 40


def test_a_second_catalogue_encodes_nothing_again(tmp_path):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit())
    ingested(context, folder)
    assert ingested(context, folder, name="more")["stored"] == 12
    assert context.encoders.known[FAKE_ENCODER].encoded == 12
    assert sum(context.decoder.decoded.values()) == 12
    here, there = points(context), points(context, "more")
    assert set(here).isdisjoint(there)
    sizes = {one["content_hash"]: (one["width_px"], one["height_px"]) for one in here.values()}
    assert sizes == {one["content_hash"]: (one["width_px"], one["height_px"]) for one in there.values()}


def test_another_tenant_shares_nothing(tmp_path):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit())
    ingested(context, folder)
    ingested(context, folder, tenant="other")
    assert context.encoders.known[FAKE_ENCODER].encoded == 24
    assert {key.split("/")[0] for key in context.blobs.data} == {"acme", "other"}


def test_a_given_split_is_kept(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit()), split="holdout")
    assert set(splits(context).values()) == {Split.HOLDOUT}
    assert {one["split"] for one in points(context).values()} == {"holdout"}


def test_broken_files_fail_alone_with_reasons(tmp_path, monkeypatch):
    context = fake_context()
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10_000)
    pictures = fruit() | {
        "apple/broken.png": b"not a picture",
        "apple/empty.png": b"",
        "apple/large.png": b"x" * 10_001,
        "apple/moving.gif": b"GIF89a",
        "apple/zero.png": picture("zero", 77, zero=True),
        "apple/stumble.png": picture("stumble", 78, crashes=99),
    }
    report = ingested(context, write_pictures(tmp_path, pictures))
    assert (report["stored"], report["failed"]) == (12, 6)
    reasons = {Path(one["path"]).name: one["reason"] for one in report["errors"]}
    assert reasons["broken.png"] == "the file is no picture: save it anew as JPEG or PNG"
    assert "0 bytes" in reasons["empty.png"]
    assert "at most" in reasons["large.png"]
    assert "convert it" in reasons["moving.gif"]
    assert "length 0" in reasons["zero.png"]
    assert "decoding it failed twice (RuntimeError: the decoder stumbled over stumble)" in reasons["stumble.png"]
    held = {key for key in context.blobs.data if "/images/" in key}
    assert len(held) == 15, "those that were read can be tried again for a day"
    context.clock.now += 24 * 3600
    sweep(context)
    held = {key for key in context.blobs.data if "/images/" in key}
    assert len(held) == 12, "then the bytes of failed pictures are kept by nobody"


def test_too_large_a_file_is_never_opened(tmp_path, monkeypatch):
    context = fake_context()
    write_pictures(tmp_path, {"apple/a.png": picture("a", 1)})
    huge = tmp_path / "apple/huge.png"
    with huge.open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)
    opened = []
    real = files.os.open
    monkeypatch.setattr(files.os, "open", lambda path, *rest: opened.append(Path(path).name) or real(path, *rest))
    report = ingested(context, tmp_path)
    assert [name for name in opened if name.endswith(".png")] == ["a.png"]
    assert report["errors"][0]["reason"].startswith("it has 64.0 MB; at most 64 MB are read")


def test_a_decoder_that_stumbles_once_is_given_a_second_chance(tmp_path):
    context = fake_context()
    report = ingested(context, write_pictures(tmp_path, fruit() | {"apple/odd.png": picture("odd", 5, crashes=1)}))
    assert report["failed"] == 0
    assert context.decoder.decoded["odd"] == 2


def test_files_that_cannot_be_read_fail_alone(tmp_path):
    context = fake_context()
    path = tmp_path / "list.csv"
    write_pictures(tmp_path, {"a.png": picture("a", 1), "folder.png/x.txt": b""})
    path.write_text("path,label\na.png,pear\nmissing.png,pear\nfolder.png,pear\n" + "x" * 5000 + ".png,pear\n")
    report = ingested(context, path)
    assert (report["stored"], report["failed"]) == (1, 3)
    reasons = [one["reason"] for one in report["errors"]]
    assert reasons[:2] == ["there is no such file", "it is not a regular file"]
    assert "(5004 characters) is too long: at most 4096 characters are read" in reasons[2]


def test_nothing_but_failures_still_ends(tmp_path):
    context = fake_context()
    report = ingested(context, write_pictures(tmp_path, {"pear/a.gif": b"x"}))
    assert (report["stored"], report["failed"]) == (0, 1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "no/name"}, "cannot be the name of a catalogue"),
        ({"tenant": ".."}, "cannot be the name of a tenant"),
        ({"split": "train"}, "the split is 'train'"),
        ({"encoder": "none"}, "there is no encoder 'none'"),
        ({"label": " "}, "the label is empty"),
    ],
)
def test_wrong_use_takes_nothing(tmp_path, options, reason):
    context = fake_context()
    with pytest.raises(InvalidInput, match=reason):
        ingested(context, write_pictures(tmp_path, fruit()), **options)
    assert not context.registry.all_catalogues()
    assert not context.blobs.data


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(InvalidInput, match=r"no picture under .*\.webp"):
        ingested(fake_context(), tmp_path)


def test_progress_is_told(tmp_path):
    told = []
    context = fake_context()
    start_ingest(
        context,
        "acme",
        "fruit",
        write_pictures(tmp_path, fruit(2)),
        encoder=FAKE_ENCODER,
        on_progress=lambda *args: told.append(args),
    )
    assert told == [("reading", done, 4) for done in range(5)]


def test_chunks_are_queued_only_after_the_seal(tmp_path):
    context = fake_context()
    job = start_ingest(context, "acme", "fruit", write_pictures(tmp_path, fruit()), encoder=FAKE_ENCODER)
    assert job.state is JobState.QUEUED
    assert list(context.queue.messages) == [EmbedChunk(job.id, number) for number in range(3)]
    with pytest.raises(JobFailed, match="0 of 12 pictures"):
        ingest_report(context, job.id)


def test_a_job_without_pending_items_is_finished_at_once(tmp_path):
    context = fake_context()
    folder = write_pictures(tmp_path, {"pear/a.gif": b"x"})
    job = start_ingest(context, "acme", "fruit", folder, encoder=FAKE_ENCODER)
    assert list(context.queue.messages) == [FinishIngest(job.id)]


def test_reading_that_is_broken_off_accepts_nothing(tmp_path):
    context = fake_context()
    folder = write_pictures(tmp_path, fruit())

    def interrupt(stage, done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_ingest(context, "acme", "fruit", folder, encoder=FAKE_ENCODER, on_progress=interrupt)
    (job,) = context.registry.jobs(list(JobState))
    assert (job.state, job.error) == (
        JobState.FAILED,
        "reading the pictures was broken off (KeyboardInterrupt); nothing was taken",
    )
    assert not context.queue.messages
    assert not context.registry.leases
    assert ingested(context, folder)["stored"] == 12


# ------------------------------------------------------------------------------------------------------------ conflicts


def conflicting(tmp_path):
    pictures = fruit()
    return write_pictures(tmp_path, pictures | {"pear/same.png": pictures["apple/0.png"]})


def test_one_picture_under_two_labels_is_a_conflict(tmp_path):
    context = fake_context()
    report = ingested(context, conflicting(tmp_path))
    assert (report["stored"], report["conflict"], report["failed"]) == (11, 2, 0)
    (conflict,) = report["conflicts"]
    assert conflict["paths"] == [f"{tmp_path}/apple/0.png", f"{tmp_path}/pear/same.png"]
    assert conflict["labels"] == ["apple", "pear"]
    payload = points(context)[conflict["id"]]
    assert payload["split"] == "conflict"
    counts = context.registry.item_counts(report["job"])
    assert counts[ItemState.CONFLICT] == 2


def test_a_conflict_with_an_earlier_job_names_both_paths(tmp_path):
    context = fake_context()
    pictures = fruit()
    ingested(context, write_pictures(tmp_path / "one", pictures))
    report = ingested(context, write_pictures(tmp_path / "two", {"pear/same.png": pictures["apple/0.png"]}))
    assert (report["stored"], report["conflict"]) == (0, 1)
    (conflict,) = report["conflicts"]
    assert conflict["paths"] == [f"{tmp_path}/one/apple/0.png", f"{tmp_path}/two/pear/same.png"]
    assert conflict["labels"] == ["apple", "pear"]


def test_bytes_are_kept_once_under_their_hash_and_come_back_where_a_power_cut_took_them(tmp_path):
    context = fake_context()
    same = picture("same", 3)
    folder = write_pictures(tmp_path, {"pear/a.png": same, "pear/b.png": same})
    ingested(context, folder)
    (key,) = [key for key in context.blobs.data if "/images/" in key]
    (example,) = context.registry.examples(context.registry.catalogue("acme", "fruit").id)
    assert key == image_key("acme", example.content_hash)
    context.blobs.data[key] = b""
    ingested(context, folder)
    assert context.blobs.data[key] == same


def test_no_row_names_bytes_that_a_power_cut_could_take(tmp_path, monkeypatch):
    context = fake_context()
    add_items, flushed = context.registry.add_items, []

    def add(*args, **options):
        flushed.append(not context.blobs.unsafe)
        return add_items(*args, **options)

    monkeypatch.setattr(context.registry, "add_items", add)
    ingested(context, write_pictures(tmp_path, fruit()))
    assert flushed == [True]
