"""The user's own words about a picture: short texts by name, stored with the example, to filter a search by."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from service.errors import InvalidInput, quoted
from service.ports.vectors import checked_metadata_key

MOST_ENTRIES = 16
MAX_TEXT = 200

_REFUSED_CATEGORIES = {"Cc", "Cs"}
"""Control characters, and halves of surrogate pairs, which no database takes."""


def checked_metadata(given: Mapping[str, object]) -> dict[str, str]:
    """The entries as texts, white space around them cut off, by name; empty ones are left out. A number is a fine text.

    Raises InvalidInput for more than `MOST_ENTRIES`, a name that is none (`checked_metadata_key`), a value that is no
    text, is longer than `MAX_TEXT` characters or holds control characters.
    """
    entries = {}
    for name, value in given.items():
        checked_metadata_key(name)
        text = _text(name, value)
        if text:
            entries[name] = text
    if len(entries) > MOST_ENTRIES:
        raise InvalidInput(f"the metadata has {len(entries)} entries; at most {MOST_ENTRIES} are kept with a picture")
    return entries


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidInput(f"metadata {name!r} is {quoted(str(value))}; a text is needed", name=name)
    text = unicodedata.normalize("NFC", str(value).strip())
    if len(text) > MAX_TEXT:
        raise InvalidInput(
            f"metadata {name!r} has {len(text)} characters; at most {MAX_TEXT} are allowed", name=name, limit=MAX_TEXT
        )
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in text):
        raise InvalidInput(f"metadata {name!r} holds control characters or is not valid UTF-8", name=name)
    return text
