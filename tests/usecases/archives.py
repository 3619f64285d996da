"""What tests of archives share: a stocked catalogue with selections, its archive, and archives changed by hand."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from service.records import Catalogue
from service.usecases.archive_export import export_catalogue
from service.usecases.archive_import import import_catalogue
from service.usecases.archive_reading import ArchiveLimits
from service.usecases.context import Context
from service.usecases.publish import publish
from tests.usecases.serving import draft, fruit_of, no_sleep, stocked

LIMITS = ArchiveLimits(unpacked_bytes=64 * 1024 * 1024)

Members = dict[str, bytes]


def archived(context: Context, *, images: bool = True, tenant: str = "acme", name: str = "fruit") -> bytes:
    return b"".join(export_catalogue(context, tenant, name, images=images))


def imported(context: Context, data: bytes, name: str = "copy", tenant: str = "acme", limits=LIMITS):
    return import_catalogue(context, tenant, name, io.BytesIO(data), limits, sleep=no_sleep)


def with_selections(folder: Path, **changes: Any) -> tuple[Context, Catalogue]:
    """Acme's "fruit": three labels, two selections, of which the newer one serves."""
    context, catalogue = stocked(folder, **changes)
    publish(context, catalogue, draft(context, each=1), sleep=no_sleep)
    publish(context, catalogue, draft(context, each=2, seed=1), sleep=no_sleep)
    return context, fruit_of(context)


def unpacked(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Mapping[str, bytes], *, seal: bool = True, deflate: bool = False) -> bytes:
    """A zip of the members; with `seal` the manifest lists their sizes and hashes as they are."""
    members = dict(members)
    if seal:
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = {
            name: [len(data), hashlib.sha256(data).hexdigest()]
            for name, data in members.items()
            if name != "manifest.json" and not name.startswith("images/")
        }
        members["manifest.json"] = json.dumps(manifest).encode()
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_document(members: Members, name: str, change: Callable[[Any], Any]) -> Members:
    """The members with one JSON document changed."""
    value = json.loads(members[name])
    changed = change(value)
    return members | {name: json.dumps(value if changed is None else changed).encode()}


def with_line(members: Members, name: str, row: int, change: Callable[[dict[str, Any]], Any]) -> Members:
    """The members with one line of JSON changed."""
    lines = members[name].splitlines()
    value = json.loads(lines[row])
    change(value)
    lines[row] = json.dumps(value).encode()
    return members | {name: b"\n".join(lines) + b"\n"}


def traces(context: Context) -> dict[str, Any]:
    """Everything that an import could leave behind, of fakes."""
    return {
        "catalogues": sorted(context.registry.rows),
        "examples": sorted(context.registry.example_rows),
        "selections": sorted(context.registry.selection_rows),
        "kept": sorted(context.registry.kept_rows),
        "blobs": sorted(context.blobs.data),
        "points": sorted(every_point(context)),
    }


def every_point(context: Context) -> list[str]:
    """Ids of all points of the store, whatever catalogue they say they are of."""
    return [f"{collection}/{point}" for collection, kept in context.store._collections.items() for point in kept.points]


def rows(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, dtype="<f4").tobytes()
