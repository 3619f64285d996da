"""Everything about an archive that can be checked is checked here, before anything of it is written anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from service.core.crop import Crop
from service.core.float_rows import npy_size, rows_of_npy
from service.core.model import Float32Array
from service.core.projection import Head
from service.core.recipe import HEADS
from service.core.rejection import Policy
from service.core.vectors import checked_embeddings
from service.errors import ImageRejected, InvalidInput
from service.ports import ImageDecoder
from service.records import Example, ExampleState
from service.usecases.archive_dropped import archived_dropped
from service.usecases.archive_fields import Fields, fields_of
from service.usecases.archive_format import (
    DROPPED,
    PROMPTS,
    ArchivedExample,
    ArchivedSelection,
    embeddings_part,
    examples_part,
    image_member,
    picture_in,
    read_example,
    read_selection,
    selection_member,
)
from service.usecases.archive_prompts import archived_prompts
from service.usecases.archive_reading import Archive
from service.usecases.archive_report import check_report
from service.usecases.files import MAX_FILE_BYTES
from service.usecases.labels import label_asked_for


@dataclass(frozen=True, slots=True)
class ArchivedMember:
    """A line of a selection's members."""

    content_hash: str
    crop: str
    label: str
    centrality: float | None
    provisional: bool


def check_archive(archive: Archive, decoder: ImageDecoder) -> bool:
    """Read all of it once; has it the picture of every example?

    Raises InvalidInput with the first thing that is not as an export writes it.
    """
    labels, whole = _check_examples(archive, decoder)
    for number in range(archive.manifest.selections):
        _check_selection(archive, number, labels)
    for _ in chain(archived_prompts(archive), archived_dropped(archive)):
        pass  # each is checked as it is read
    expected = _expected(archive)
    if surplus := sorted(archive.manifest.members.keys() - expected):
        raise InvalidInput(f"{surplus[0]} belongs to nothing that the manifest counts")
    return whole


def parts_of(archive: Archive) -> Iterator[tuple[list[ArchivedExample], Float32Array]]:
    """The examples with their embeddings (n, d), part by part."""
    left = archive.manifest.examples
    for number in range(archive.manifest.parts):
        name = examples_part(number)
        count = min(left, archive.manifest.part_examples)
        examples: list[ArchivedExample] = []
        for line, where in archive.lines(name):
            if len(examples) == count:
                raise InvalidInput(f"{name} has more lines than the {count} that the manifest counts")
            examples.append(read_example(line, where))
        if len(examples) != count:
            raise InvalidInput(f"{name} has {len(examples)} lines, the manifest counts {count}")
        rows = _array(archive, embeddings_part(number), count, archive.manifest.dimension)
        yield examples, checked_embeddings(rows)
        left -= count


def picture_of(archive: Archive, example: ArchivedExample) -> bytes:
    """The bytes of an example's picture; the archive has them, and they have its hash."""
    return archive.document(image_member(example.example.content_hash), MAX_FILE_BYTES)


def selection_of(archive: Archive, number: int) -> ArchivedSelection:
    """A selection's record."""
    name = selection_member(number, "selection.json")
    found = read_selection(archive.document(name), name, archive.manifest.dimension)
    _check_figures(found.selection.figures, name)
    return found


def members_of(archive: Archive, number: int) -> Iterator[ArchivedMember]:
    """A selection's members, the chosen ones first."""
    for line, where in archive.lines(selection_member(number, "members.jsonl")):
        found = fields_of(line, where)
        label = found.text("label", 1000)
        if label_asked_for(label) != label:
            raise found.wrong("label", "a label")
        centrality = None if found.value("centrality") is None else found.number("centrality")
        content_hash, crop = picture_in(found)
        yield ArchivedMember(content_hash, crop, label, centrality, found.flag("provisional"))


def projections_of(archive: Archive, number: int, one: ArchivedSelection) -> Float32Array:
    """Projections of the chosen members, unit rows (r, k)."""
    if not one.chosen:
        return np.zeros((0, max(1, one.width)), dtype=np.float32)
    return checked_embeddings(_array(archive, selection_member(number, "projections.npy"), one.chosen, one.width))


def head_of_archive(archive: Archive, number: int, one: ArchivedSelection) -> Head | None:
    """The selection's head."""
    if one.head is None:
        return None
    dimension = archive.manifest.dimension
    mean = _array(archive, selection_member(number, "mean.npy"), 1, dimension)[0]
    return Head(one.head, mean, _array(archive, selection_member(number, "matrix.npy"), dimension, one.width))


def report_of(archive: Archive, number: int) -> Fields:
    """The data of the selection's report; pictures are named by their content hashes."""
    document = archive.document(selection_member(number, "report.json"))
    return fields_of(document, f"the report of selection {number}", finite=False)


def _array(archive: Archive, name: str, rows: int, width: int) -> Float32Array:
    """Read only when its size is that of the shape: nothing larger is ever in memory."""
    if archive.size(name) != npy_size(rows, width):
        raise InvalidInput(
            f"{name} has {archive.size(name)} bytes; {rows} x {width} float32 numbers take {npy_size(rows, width)}"
        )
    try:
        return rows_of_npy(archive.document(name, npy_size(rows, width)), rows, width)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}") from error


def _check_examples(archive: Archive, decoder: ImageDecoder) -> tuple[dict[bytes, str], bool]:
    """Labels of active ones by picture, of those in conflict the empty one; and whether all have their bytes."""
    if archive.manifest.examples and archive.manifest.fingerprint is None:
        raise InvalidInput("the archive has examples and no fingerprint of the encoder that embedded them")
    labels: dict[bytes, str] = {}
    known: dict[str, str] = {}
    images: set[bytes] = set()
    whole = True
    for examples, _ in parts_of(archive):
        for one in examples:
            key = _key(one.example.content_hash, one.example.crop)
            if key in labels:
                raise InvalidInput(f"the picture {one.example.picture} is there twice")
            active = one.example.state is ExampleState.ACTIVE
            labels[key] = known.setdefault(one.example.label, one.example.label) if active else ""
            whole = whole and one.image
            if one.image:
                images.add(bytes.fromhex(one.example.content_hash))
                _check_picture(archive, one, decoder)
    if len(images) != archive.manifest.images:
        raise InvalidInput(f"{archive.manifest.images} images are there, the examples name {len(images)}")
    return labels, whole


def _check_picture(archive: Archive, one: ArchivedExample, decoder: ImageDecoder) -> None:
    name = image_member(one.example.content_hash)
    try:
        size = decoder.size(picture_of(archive, one))
    except ImageRejected as error:
        raise InvalidInput(f"{name} is no picture that is taken: {error.message}") from error
    if one.example.crop:
        _check_crop(name, size, one.example)
    elif sorted(size) != sorted((one.example.width_px, one.example.height_px)):
        told = f"{one.example.width_px} x {one.example.height_px}"
        raise InvalidInput(f"{name} has {size[0]} x {size[1]} pixels, its example says {told}")


def _check_crop(name: str, size: tuple[int, int], example: Example) -> None:
    """The box is inside the picture one way or the other: whether it is shown upright its header does not tell."""
    crop = Crop.parse(example.crop)
    if crop is None or crop.box[2:] != (example.width_px, example.height_px):
        raise InvalidInput(f"the crop of {example.picture} has not {example.width_px} x {example.height_px} pixels")
    x, y, width, height = crop.box
    if not any(x + width <= across and y + height <= down for across, down in (size, size[::-1])):
        raise InvalidInput(f"{name} has {size[0]} x {size[1]} pixels, and the crop {example.crop} is not within")


def _key(content_hash: str, crop: str) -> bytes:
    return bytes.fromhex(content_hash) + crop.encode()


def _check_selection(archive: Archive, number: int, labels: Mapping[bytes, str]) -> None:
    name = selection_member(number, "members.jsonl")
    one = selection_of(archive, number)
    if one.head is not None and one.head not in HEADS:
        raise InvalidInput(f"the head of selection {number} is {one.head[:50]!a}; one of {', '.join(HEADS)}")
    seen: set[bytes] = set()
    for row, member in enumerate(members_of(archive, number)):
        key = _key(member.content_hash, member.crop)
        if key in seen:
            raise InvalidInput(f"{name} has {member.content_hash} twice")
        seen.add(key)
        if labels.get(key) != member.label:
            raise InvalidInput(f"{name} has {member.content_hash}, which is no active example under its label")
        if member.provisional != (row >= one.chosen):
            raise InvalidInput(f"{name} line {row + 1}: the first {one.chosen} members are the chosen ones, no others")
    if len(seen) != one.members:
        raise InvalidInput(f"{name} has {len(seen)} lines, its selection counts {one.members}")
    projections_of(archive, number, one)
    head_of_archive(archive, number, one)
    check_report(report_of(archive, number))


def _expected(archive: Archive) -> set[str]:
    """Names of all members that the counts call for."""
    names = {PROMPTS, DROPPED} & archive.manifest.members.keys()
    for number in range(archive.manifest.parts):
        names |= {examples_part(number), embeddings_part(number)}
    for number in range(archive.manifest.selections):
        one = selection_of(archive, number)
        parts = ["selection.json", "report.json", "members.jsonl"]
        parts += ["projections.npy"] if one.chosen else []
        parts += ["mean.npy", "matrix.npy"] if one.head is not None else []
        names |= {selection_member(number, part) for part in parts}
    return names


def _check_figures(figures: Mapping[str, Any], where: str) -> None:
    """What answers are made with must be readable; the rest is shown as it is."""
    try:
        if (policy := figures.get("policy")) is not None:
            Policy.from_dict(policy)
        for measured in figures.get("verification", {}).values():
            _check_verification(measured)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidInput(f"{where}: its figures cannot be read ({type(error).__name__}: {error})") from error


def _check_verification(measured: Mapping[str, Any] | None) -> None:
    if measured is None:
        return
    for rule in ("otsu", "eer"):
        for name in ("threshold", "tpr", "tnr"):
            if not math.isfinite(float(measured[rule][name])):
                raise ValueError(f"{name} of {rule} is not finite")
    float(measured["eer_rate"])
    str(measured["measured_on"])
