"""The words that classes start from, in an archive: a line a class."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

import numpy as np

from service.core.vectors import checked_embeddings
from service.errors import InvalidInput
from service.records import ClassPrompts
from service.usecases.archive_fields import encoded, fields_of
from service.usecases.archive_format import PROMPTS
from service.usecases.archive_reading import Archive
from service.usecases.describing import MOST_CHARACTERS, MOST_TEMPLATES
from service.usecases.labels import label_asked_for


def prompts_line(one: ClassPrompts) -> bytes:
    """One line, with its end."""
    told = {"label": one.label, "templates": list(one.templates), "made_at": one.made_at}
    return encoded(told | {"embedding": base64.b64encode(one.embedding).decode()}) + b"\n"


def archived_prompts(archive: Archive) -> Iterator[ClassPrompts]:
    """The prompts of an archive, none where it has none. Raises InvalidInput naming what cannot be."""
    if PROMPTS not in archive.manifest.members:
        return
    if archive.manifest.fingerprint is None:
        raise InvalidInput(f"the archive has {PROMPTS} and no fingerprint of the encoder that embedded them")
    seen: set[str] = set()
    for line, where in archive.lines(PROMPTS):
        found = fields_of(line, where)
        label = found.text("label", 1000)
        if label_asked_for(label) != label or label in seen:
            raise found.wrong("label", "a label that is there once")
        seen.add(label)
        templates = tuple(found.texts("templates", MOST_TEMPLATES, MOST_CHARACTERS))
        if not templates:
            raise found.wrong("templates", "at least one text")
        text = found.text("embedding", 10_000_000)
        embedding = _embedding(text, where, archive.manifest.dimension)
        yield ClassPrompts(label=label, templates=templates, embedding=embedding, made_at=found.number("made_at"))


def _embedding(text: str, where: str, dimension: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
        checked_embeddings(np.frombuffer(data, dtype="<f4").astype(np.float32)[None], dimension)
    except (binascii.Error, ValueError, InvalidInput) as error:
        raise InvalidInput(
            f"{where}: its embedding is not {dimension} float32 numbers of unit length ({error})"
        ) from error
    return data
