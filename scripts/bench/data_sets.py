"""What is measured: data sets found here or fetched, and the settings that each of them has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from scripts.bench.cases import (
    Setting,
    domain_cases,
    enough,
    holdout_cases,
    shots_cases,
    whole_cases,
)
from scripts.bench.packages import emoji_pictures, textile_pictures
from scripts.bench.pictures import MissingDataError, Pictures, cache_folder, embedded, folder_pictures, write_digits
from scripts.bench.story import story_cases
from service.core.model import LabelledEmbeddings

ROOT = Path(__file__).resolve().parents[2]
GROCERY = ROOT.parent / "shared" / "data" / "grocery"
EMOJI = 1000
QUICK_EMOJI = 200
QUICK_PER_CLASS = 60
"""Pictures a class of sets that have hundreds."""
QUICK_CLASSES = 100
TRUSTED_SHOTS = 10
Embed = Callable[[Pictures], LabelledEmbeddings]


@dataclass(frozen=True, eq=False)
class DataSet:
    """Pictures of one name.

    Attributes:
        data: what support, tuning and holdouts are drawn from.
        judged: further pictures of other places and days, which judge only.
        domains: of each picture, where each shall be judged by the others; such a set has no other settings.
    """

    name: str
    data: LabelledEmbeddings
    judged: LabelledEmbeddings | None = None
    domains: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    quick: bool
    seeds: tuple[int, ...]
    shots: tuple[int, ...]
    trials: int
    noises: tuple[int, ...] = (0, 20)
    """Per cent of the labels that are wrong."""


def found_sets(
    names: Sequence[str], folders: Sequence[Path], encoder: str, *, quick: bool, console: Console
) -> list[DataSet]:
    """Those named and every folder, each embedded; what cannot be had is said by name, with the reason."""

    def embed(pictures: Pictures) -> LabelledEmbeddings:
        return embedded(pictures, encoder)

    ways: dict[str, Callable[[], DataSet]] = {
        "grocery": lambda: _parted("grocery", GROCERY, embed, quick=False),
        "emoji": lambda: _emoji(QUICK_EMOJI if quick else EMOJI, embed),
        "digits": lambda: DataSet("digits", embed(_thinned(write_digits(cache_folder() / "digits"), quick=quick))),
        "textile": lambda: DataSet("textile", embed(_thinned(textile_pictures(), quick=quick))),
    }
    asked = {name: ways[name] for name in names}
    for folder in folders:
        name = folder_name(folder, asked)
        asked[name] = lambda name=name, folder=folder: _parted(name, folder, embed, quick=quick)
    found = []
    for way in asked.values():
        try:
            found.append(way())
        except MissingDataError as missing:
            console.print(f"[yellow]skipped[/] {missing}")
    return found


def folder_name(folder: Path, taken: Sequence[str] | dict[str, object]) -> str:
    """A folder's name as part of a figure's name: without dots, and not one that is taken."""
    name = re.sub(r"[^\w-]+", "-", folder.resolve().name) or "folder"
    return name if name not in taken else f"{name}-{sum(one.startswith(name) for one in taken) + 1}"


def _parted(name: str, folder: Path, embed: Embed, *, quick: bool) -> DataSet:
    """A folder of classes, or one with `train` and, for judging alone, `val` inside."""
    inside = folder / "train"
    pictures = folder_pictures(name, inside if inside.is_dir() else folder)
    if not pictures.paths:
        raise MissingDataError(f"{name}: no class/picture in {folder}")
    judged = folder / "val"
    more = embed(folder_pictures(f"{name}-val", judged)) if inside.is_dir() and judged.is_dir() else None
    return DataSet(name, embed(_thinned(pictures, quick=quick)), more)


def _emoji(limit: int, embed: Embed) -> DataSet:
    pictures, vendors = emoji_pictures(limit)
    return DataSet("emoji", embed(pictures), domains=vendors)


def _thinned(pictures: Pictures, *, quick: bool) -> Pictures:
    """For a quick run the first classes, and the first pictures of each."""
    if not quick:
        return pictures
    classes = sorted(set(pictures.labels))[:QUICK_CLASSES]
    labels = np.array(pictures.labels)
    rows = np.sort(np.concatenate([np.flatnonzero(labels == label)[:QUICK_PER_CLASS] for label in classes]))
    paths, kept = tuple(pictures.paths[row] for row in rows), tuple(pictures.labels[row] for row in rows)
    return Pictures(pictures.name, paths, kept)


def settings_of(found: DataSet, extent: Extent) -> list[Setting]:
    """Every setting that the data have, simple ones first."""
    name, data, seeds = found.name, found.data, extent.seeds
    if found.domains is not None:
        shots = len(set(found.domains)) - 1
        return [
            Setting(f"{name}.m{shots}.noise{noise}", domain_cases(data, found.domains, noise, seeds[0]), not noise)
            for noise in extent.noises
        ]
    possible = [shots for shots in extent.shots if enough(data, shots)]
    trusted = min(possible, key=lambda shots: abs(shots - TRUSTED_SHOTS), default=None)
    settings = [
        Setting(f"{name}.m{shots}.noise{noise}", shots_cases(data, shots, noise, seeds), not noise and shots == trusted)
        for shots in possible
        for noise in extent.noises
    ]
    if trusted is not None:
        settings += [
            Setting(f"{name}.heads.noise{noise}", shots_cases(data, trusted, noise, seeds), heads=True)
            for noise in extent.noises
        ]
    if found.judged is not None:
        settings.append(Setting(f"{name}.holdouts.noise0", holdout_cases(data, 0, seeds)))
        # Pictures and candidates are the same for every seed: further ones only search differently.
        settings.append(Setting(f"{name}.val.noise0", whole_cases(data, found.judged, 0, seeds[:3])))
    story = story_cases(data, found.judged, seeds)
    return settings + ([Setting(f"{name}.story.noise0", story)] if story else [])
