import json
import subprocess
import sys

import numpy as np
import pytest

from service.adapters import encoder_start
from service.adapters.encoder_transformers import TransformersEncoder
from service.adapters.encoder_trials import read_kept
from tests.adapters import networks
from tests.adapters.pictures import noise

PICTURES = [noise(50, 40, seed=i) for i in range(5)]
LATER = """
import sys
from pathlib import Path
from service.adapters.encoder_transformers import TransformersEncoder
encoder = TransformersEncoder(Path(sys.argv[1]), device="cpu", kept_in=Path(sys.argv[2]))
import numpy as np
picture = np.arange(50 * 40 * 3, dtype=np.uint8).reshape(50, 40, 3)
encoder.encode([encoder.preprocess(picture), encoder.preprocess(picture, "pad")])
assert "transformers" not in sys.modules
print(encoder.fingerprint.digest, encoder.form)
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return networks.write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(autouse=True)
def one_form(monkeypatch):
    """Which form of so small a network is the fastest is luck."""
    monkeypatch.setattr(encoder_start, "cpu_flags", frozenset)


def load(folder, kept_in, **options):
    return TransformersEncoder(folder, device="cpu", kept_in=kept_in, **options)


def embed(encoder, fit="own"):
    return encoder.encode([encoder.preprocess(picture, fit) for picture in PICTURES])


def never(*args, **kwargs):
    raise AssertionError("loaded or measured again")


@pytest.mark.parametrize("options", [{}, {"pooling": "mean"}, {"views": "mirror"}])
def test_a_later_start_needs_no_folder_s_code_and_answers_the_same(clip, tmp_path, monkeypatch, options):
    first = load(clip, tmp_path, **options)
    with monkeypatch.context() as patched:
        for name in ("load_network", "load_processor", "load_tokenizer", "measured"):
            patched.setattr(encoder_start, name, never)
        later = load(clip, tmp_path, **options)
        for fit in ("own", "pad", "stretch"):
            np.testing.assert_allclose(embed(later, fit), embed(first, fit), atol=1e-6)
    assert later.fingerprint == first.fingerprint
    assert (later.form, list(later.trials)) == (first.form, list(first.trials))
    assert (later.encodes_text, later.shortest_edge_px) == (first.encodes_text, first.shortest_edge_px)
    if first.encodes_text:
        np.testing.assert_allclose(later.encode_text(["a", "b c"]), first.encode_text(["a", "b c"]), atol=1e-6)


def test_a_later_process_does_not_import_transformers(clip, tmp_path):
    first = load(clip, tmp_path)
    done = subprocess.run([sys.executable, "-c", LATER, clip, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == ([first.fingerprint.digest, first.form], "")


def test_a_damaged_file_is_made_anew(clip, tmp_path, caplog):
    first = load(clip, tmp_path)
    (traced,) = tmp_path.glob("*.traced.safetensors")
    whole = traced.read_bytes()
    traced.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_allclose(embed(load(clip, tmp_path)), embed(first), atol=1e-6)
    assert "is made anew" in caplog.text
    assert traced.stat().st_size == len(whole)


def test_a_changed_processor_is_noticed(tmp_path):
    folder = networks.write_folder(tmp_path / "vit", networks.VIT)
    before = load(folder, tmp_path / "forms").fingerprint
    parameters = networks.PROCESSOR | {"image_mean": [0.1, 0.2, 0.3]}
    (folder / "preprocessor_config.json").write_text(json.dumps(parameters))
    after = load(folder, tmp_path / "forms").fingerprint
    assert after.processor_parameters["image_mean"] == [0.1, 0.2, 0.3]
    assert after.digest != before.digest


def test_a_network_that_cannot_be_traced_is_loaded_each_time(clip, tmp_path, monkeypatch):
    def cannot(*args):
        raise ValueError("no way")

    monkeypatch.setattr(encoder_start, "keep_traced", cannot)
    first = load(clip, tmp_path)
    (path,) = tmp_path.iterdir()
    assert read_kept(path).facts.direct
    monkeypatch.setattr(encoder_start, "measured", never)
    monkeypatch.setattr(encoder_start, "keep_traced", never)
    np.testing.assert_allclose(embed(load(clip, tmp_path)), embed(first), atol=1e-6)
