"""Labels of pictures that are sent: from a manifest, from the folder in a picture's name, or one for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from service.errors import InvalidInput, counted
from service.records import Split
from service.usecases.crops import Wanted
from service.usecases.files import MAX_FILE_BYTES, read_file, read_mask, too_large
from service.usecases.handing_over import Picture
from service.usecases.labels import checked_label
from service.usecases.manifests import SPLITS, Row, manifest_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPicture:
    """A picture as it was sent: its name, which may have folders, its bytes in a file, and how many they are."""

    name: str
    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentLabels:
    """What a request says about the labels of its pictures.

    Attributes:
        label: of pictures without one of their own.
        split: "auto", "support", "tuning" or "holdout", for those that the manifest gives none.
        manifest: a CSV or JSONL file with the columns path, label, split, box, mask, keep_aspect and metadata; masks
            are sent among the pictures, under the names that the manifest gives them.
        manifest_name: what the manifest is called.
    """

    label: str | None = None
    split: str = "auto"
    manifest: Path | None = None
    manifest_name: str = "manifest"


def labelled(sent: Sequence[SentPicture], labels: SentLabels) -> list[Picture]:
    """The pictures with their labels: the manifest's, else the folder that the picture lies in, else `labels.label`.

    One without a label, and a line of the manifest whose picture was not sent, is a failed picture that says so.

    Raises:
        InvalidInput: the split or the label cannot be used, or no picture has a label.
        ManifestError: the manifest is none.
    """
    if labels.split not in SPLITS:
        raise InvalidInput(f"the split is {labels.split!r}; it must be one of {', '.join(SPLITS)}")
    label = None if labels.label is None else checked_label(labels.label)
    split = SPLITS[labels.split]
    listed = _Listed() if labels.manifest is None else _read(labels.manifest, labels.manifest_name, split)
    shown = _visible(sent)
    masks = {_path(one.name): one for one in shown if _path(one.name) in listed.masks}
    pictures = [
        _picture(one, row, label, split, masks)
        for one in shown
        if _path(one.name) not in masks
        for row in listed.of(one.name)
    ]
    if sent and not any(one.label for one in pictures):
        raise InvalidInput(
            f"{counted(len(pictures), 'picture')} without a label: send `label` for all of them, name the files "
            "label/picture.jpg, or send a `manifest` with the columns path,label",
            pictures=len(pictures),
        )
    return [*pictures, *listed.left_over()]


def unlabelled(sent: Sequence[SentPicture]) -> list[Picture]:
    """The pictures, to be answered only."""
    return [
        Picture(source=one.name or "unnamed", read=partial(read_file, one.path), failure=_failure(one))
        for one in _visible(sent)
    ]


@dataclass(slots=True)
class _Listed:
    """A manifest's lines by path; `wrong` are those that cannot be used."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    by_name: dict[str, list[Row]] = field(default_factory=dict)
    masks: set[str] = field(default_factory=set)
    wrong: list[Picture] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    def of(self, name: str) -> Sequence[Row | None]:
        """The lines for a picture: by its whole path, or, for a name without folders, by a file name of one path.

        Several where it is listed with several boxes, [None] where it is not listed.
        """
        rows = self.rows.get(_path(name), [])
        if not rows and "/" not in _path(name):
            rows = self.by_name.get(_path(name), [])
        self.used.update(row.number for row in rows)
        return rows or [None]

    def left_over(self) -> Iterator[Picture]:
        """Failed pictures for the lines that are wrong and those whose picture was not sent."""
        yield from self.wrong
        for row in (row for rows in self.rows.values() for row in rows):
            if row.number not in self.used:
                yield Picture(
                    source=row.path,
                    label=row.label,
                    failure=f"line {row.number} of the manifest lists it, but it was not sent",
                )


def _read(manifest: Path, name: str, split: Split) -> _Listed:
    listed = _Listed()
    for row in manifest_rows(manifest, "", split, shown=name):
        if row.failure is not None:
            listed.wrong.append(Picture(source=f"{name}, line {row.number}", failure=row.failure))
            continue
        listed.rows.setdefault(_path(row.path), []).append(row)
        listed.masks |= {_path(row.wanted.mask)} if row.wanted.mask else set()
    names = Counter(PurePosixPath(path).name for path in listed.rows)
    listed.by_name = {base: rows for path, rows in listed.rows.items() if names[base := PurePosixPath(path).name] == 1}
    return listed


def _picture(
    one: SentPicture, row: Row | None, label: str | None, split: Split, masks: Mapping[str, SentPicture]
) -> Picture:
    wanted = Wanted() if row is None else row.wanted
    failure = _failure(one)
    found = ""
    read_its_mask = None
    try:
        found = _label(one.name, row, label)
        read_its_mask = _mask(wanted, masks)
    except InvalidInput as error:
        failure = failure or error.message
    return Picture(
        source=one.name or "unnamed",
        read=partial(read_file, one.path),
        label=found,
        split=split if row is None else row.split,
        metadata={} if row is None else row.metadata,
        failure=failure,
        crop=wanted.crop,
        read_mask=read_its_mask,
        keep_aspect=wanted.keep_aspect,
    )


def _mask(wanted: Wanted, masks: Mapping[str, SentPicture]) -> Callable[[], bytes] | None:
    """What reads the mask. Raises InvalidInput where it was not sent."""
    if not wanted.mask:
        return None
    sent = masks.get(_path(wanted.mask))
    if sent is None:
        raise InvalidInput(
            f"its mask {wanted.mask[:100]!r} was not sent: send it in the same request, among the pictures"
        )
    return partial(read_mask, sent.path)


def _label(name: str, row: Row | None, label: str | None) -> str:
    if row is not None and row.label:
        return row.label
    folder = PurePosixPath(_path(name)).parent.name
    if folder:
        return checked_label(folder)
    if label is None:
        raise InvalidInput(
            "it has no label: send `label`, name the file label/picture.jpg, or list it in the `manifest`"
        )
    return label


def _failure(one: SentPicture) -> str | None:
    return too_large(one.size_bytes) if one.size_bytes > MAX_FILE_BYTES else None


def _visible(sent: Sequence[SentPicture]) -> list[SentPicture]:
    """Without hidden files, which a folder brings along unseen."""
    return [one for one in sent if not PurePosixPath(_path(one.name)).name.startswith(".")]


def _path(name: str) -> str:
    """With plain slashes and without `./` in front, so that what two programs call one file is one name."""
    return str(PurePosixPath(name.replace("\\", "/"))) if name else ""
