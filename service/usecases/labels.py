"""Names that people give: labels, catalogues, tenants."""

from __future__ import annotations

import re
import unicodedata

from service.errors import LONGEST_QUOTED, InvalidInput, quoted

MAX_LABEL = 200
MAX_NAME = 100

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}")
_REFUSED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
"""Control characters, halves of surrogate pairs (file names that are not UTF-8), line and paragraph separators."""

JOINERS = frozenset("\u200c\u200d")
"""Seen in what they do to their neighbours: Persian words and emoji are written with them."""
SELECTORS = frozenset(chr(code) for code in (*range(0xFE00, 0xFE10), *range(0x180B, 0x180E), 0x180F))
"""Variation selectors, seen in how the character before them looks: as an emoji, or as Mongolian has it."""
_HIDDEN_RANGES = (
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180E, 0x180E),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
HIDDEN = frozenset(chr(code) for first, last in _HIDDEN_RANGES for code in range(first, last + 1))
"""Characters that nobody sees, of no width, blank, or turning the direction of writing: with them two names look the
same, or one as if it were another. Joiners are among them, `SELECTORS` are not."""


def checked_label(label: str) -> str:
    """A label to be given: as `label_asked_for` has it.

    Raises InvalidInput as that does, and as `refuse_hidden` does but for `JOINERS`.
    """
    clean = label_asked_for(label)
    refuse_hidden("label", clean, HIDDEN - JOINERS)
    return clean


def label_asked_for(label: str) -> str:
    """The label without white space around it, NFC: "é" typed in two ways is one label.

    For labels that are looked for or were kept: older ones may hold what none may be given any more.

    Raises InvalidInput when it is empty, longer than `MAX_LABEL` characters, holds control characters, or has "." or
    ".." between its slashes.
    """
    clean = unicodedata.normalize("NFC", label.strip())
    if not clean:
        raise InvalidInput("the label is empty: a label is the name of a class, 1 to 200 characters")
    if len(clean) > MAX_LABEL:
        raise InvalidInput(f"the label {clean[:30]!r}... has {len(clean)} characters; at most {MAX_LABEL} are allowed")
    if not is_one_line(clean):
        raise InvalidInput(f"the label {clean!a} holds control characters or is not valid UTF-8: rename it")
    if any(part in {".", ".."} for part in clean.split("/")):
        # In a URL it would stand for what is above it: to delete such a class would be to delete its catalogue.
        raise InvalidInput(f"the label {clean!r} has '.' or '..' for a part: rename it")
    return clean


def is_one_line(text: str) -> bool:
    """Can it be stored and shown as one line: no control characters, nothing that is not valid UTF-8?"""
    return not any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in text)


def refuse_hidden(what: str, text: str, hidden: frozenset[str] = HIDDEN) -> None:
    """A text that is given as a `what` is seen, all of it.

    Raises InvalidInput where it holds one of the `hidden` characters, which is named by its code point, or nothing
    beside joiners, variation selectors and white space.
    """
    for place, character in enumerate(text, start=1):
        if character in hidden:
            code = f"U+{ord(character):04X}"
            raise InvalidInput(
                f"the {what} {text[:30]!a} holds {code} ({unicodedata.name(character, 'unassigned').lower()}) as "
                f"character {place}, which nobody sees: leave it out",
                character=code,
            )
    if all(character in JOINERS or character in SELECTORS or character.isspace() for character in text):
        raise InvalidInput(f"the {what} {text[:30]!a} holds nothing that anybody sees")


def checked_name(name: str, what: str = "catalogue") -> str:
    """The name of a catalogue (or tenant) as it is. Raises InvalidInput when it is not one."""
    if not _NAME.fullmatch(name):
        shown = quoted(name) if HIDDEN.isdisjoint(name) else ascii(name[:LONGEST_QUOTED])
        raise InvalidInput(
            f"{shown} cannot be the name of a {what}: use 1 to {MAX_NAME} of the characters A-Z, a-z, 0-9, "
            "'-', '_' and '.', the first a letter or digit",
            name=name,
        )
    return name
