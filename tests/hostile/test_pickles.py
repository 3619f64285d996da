"""Pickles wherever bytes are read back: refused with a sentence, and none is ever begun to be read as one.

Each of them would make a file, if anything unpickled it. Beside that an audit hook hears of every object that an
unpickler looks up, whoever calls it.
"""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from service.adapters.encoder_transformers import TransformersEncoder
from service.adapters.images import PillowDecoder
from service.adapters.weights_hash import weights_sha256
from service.core.projection import Head
from service.core.reference_set import ReferenceSet
from service.core.stored_embedding import StoredEmbedding
from service.errors import ImageRejected, InvalidInput
from service.usecases.mapping import _kept
from tests.adapters import networks
from tests.fakes import fake_context
from tests.usecases.archives import archived, imported, packed, traces, unpacked, with_selections

_looked_up: list[tuple[object, ...]] = []
_hearing = [False]


def _hear(event: str, told: tuple[object, ...]) -> None:
    if event == "pickle.find_class" and _hearing[0]:
        _looked_up.append(told)


sys.addaudithook(_hear)  # stays until the process ends


@pytest.fixture
def marker(tmp_path):
    """A file that is there once any of the pickles was read as one."""
    path = tmp_path / "unpickled"
    _looked_up.clear()
    _hearing[0] = True
    yield path
    _hearing[0] = False
    assert not path.exists()
    assert _looked_up == []


def pickled(marker: Path) -> bytes:
    """Protocol 0, by hand: open(marker, "w")."""
    return f"cio\nopen\n(V{marker}\nVw\ntR.".encode()


def as_npy(marker: Path) -> bytes:
    """An array of one object."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickled(marker)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def as_npz(marker: Path, *names: str) -> bytes:
    """Arrays of objects under the names that somebody will read."""
    return zipped({f"{name}.npy": as_npy(marker) for name in names})


def as_torch(marker: Path) -> bytes:
    """What `torch.save` writes."""
    return zipped({"archive/data.pkl": pickled(marker), "archive/version": b"3\n", "archive/byteorder": b"little"})


KINDS = {"pickle": pickled, "npy": as_npy, "torch": as_torch}
BYTES = KINDS | {
    "npz": lambda marker: as_npz(
        marker,
        "embedding",
        "size",
        "perceptual_hash",
        "names",
        "projections",
        "kind",
        "mean",
        "matrix",
        "ids",
        "places",
    )
}


READ = """
import contextlib, io, sys, numpy as np
sys.addaudithook(lambda event, told: print(*told) if event == "pickle.find_class" else None)
with contextlib.suppress(TypeError, ValueError):
    found = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=True)
    found["embedding"]
"""


@pytest.mark.parametrize("kind", ["pickle", "npy", "npz"])
def test_the_pickles_are_real(tmp_path, kind):
    """Read as such they make the file, and a hook hears of it: else the tests below would show nothing."""
    path = tmp_path / "made"
    done = subprocess.run([sys.executable, "-c", READ], input=BYTES[kind](path), capture_output=True, check=True)
    assert path.exists()
    assert done.stdout.decode().split() == ["io", "open"]


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize(
    "read",
    [lambda data: StoredEmbedding.from_bytes(data, 8), ReferenceSet.from_bytes, Head.from_bytes],
    ids=["embedding", "references", "head"],
)
def test_stored_arrays_that_are_pickles_are_refused(marker, kind, read):
    with pytest.raises(InvalidInput, match=r"bytes are (no|not a) stored"):
        read(BYTES[kind](marker))


@pytest.mark.parametrize("kind", BYTES)
def test_a_kept_map_that_is_a_pickle_is_made_anew(marker, kind):
    context = fake_context()
    context.blobs.put("map", BYTES[kind](marker))
    assert _kept(context, "map") is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A context, and the archive of its "fruit" with pictures and selections; no test changes either."""
    context, _ = with_selections(tmp_path_factory.mktemp("archive"))
    return context, archived(context)


@pytest.mark.parametrize("kind", BYTES)
def test_no_member_of_an_archive_may_be_a_pickle(whole, marker, kind):
    """Each by turns, with sizes and hashes made to fit; the manifest and pictures too."""
    context, data = whole
    members, before = unpacked(data), traces(context)
    assert {name.split("/")[0] for name in members} >= {"examples", "embeddings", "selections", "images"}
    kinds = {name.rsplit("/", 1)[-1].rsplit("-", 1)[-1].rsplit(".", 1)[-1]: name for name in members}
    once = {name for name in members if name.startswith(("embeddings", "examples", "selections", "manifest"))}
    for name in sorted(once | {next(one for one in kinds.values() if one.startswith("images"))}):
        forged = members | {name: BYTES[kind](marker)}
        with pytest.raises(InvalidInput):
            imported(context, packed(forged, seal=name != "manifest.json"))
    for name in ("data.pkl", "embeddings/00001.npy", "archive/data.pkl", "model.pt"):
        with pytest.raises(InvalidInput):
            imported(context, packed(members | {name: BYTES[kind](marker)}))
    with pytest.raises(InvalidInput):
        imported(context, BYTES[kind](marker))
    assert traces(context) == before


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model.pt"])
def test_weights_that_are_a_pickle_are_refused(marker, tmp_path, kind, name):
    folder = networks.write_folder(tmp_path, networks.VIT)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(BYTES[kind](marker))
    with pytest.raises(InvalidInput, match="safetensors"):
        weights_sha256(folder)
    with pytest.raises(InvalidInput):
        TransformersEncoder(folder)


@pytest.mark.parametrize("kind", BYTES)
def test_a_picture_that_is_a_pickle_is_refused(marker, kind):
    with pytest.raises(ImageRejected, match="JPEG, PNG and WebP are taken"):
        PillowDecoder().decode(BYTES[kind](marker), 8)
