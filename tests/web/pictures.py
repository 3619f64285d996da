"""Folders of coloured pictures for the page: classes that differ, and some pictures that somebody should look at."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.api.filled import picture, write_fruit

STRANGE = "<img src=x onerror=alert(1)>"
"""A label that is markup: on the page it must be text."""
EACH = 12


def fruit(folder: Path) -> Path:
    """Three classes and the strange one, a file that is no picture, one of one colour, one too small."""
    write_fruit(folder, EACH)
    write_fruit(folder, EACH, (STRANGE,))
    (folder / "plum" / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 64), (90, 30, 120)).save(folder / "plum" / "blank.png")
    (folder / "lime" / "small.png").write_bytes(picture("lime", 50, side=16))
    (folder / "apple" / "wrong.png").write_bytes(picture("plum", 51))
    return folder


def contested(folder: Path) -> Path:
    """A picture that `fruit` has as apple, as lime: it is in conflict."""
    (folder / "lime").mkdir(parents=True)
    (folder / "lime" / "contested.png").write_bytes(picture("apple", 0))
    return folder


def asked(folder: Path, label: str = "apple") -> Path:
    """A picture that the catalogue does not hold."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"new {label}.png"
    path.write_bytes(picture(label, 99))
    return path
