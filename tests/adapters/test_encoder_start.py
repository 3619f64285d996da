import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.adapters import encoder_start, encoder_traced
from service.adapters.encoder_forms import EAGER
from service.adapters.encoder_transformers import TransformersEncoder
from service.errors import InvalidInput
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


@pytest.mark.parametrize("form", EAGER)
def test_every_form_that_pytorch_has_ready_is_kept(clip, tmp_path, monkeypatch, form):
    monkeypatch.setattr(encoder_start, "fastest", lambda trials, among: form)
    first = load(clip, tmp_path)
    monkeypatch.setattr(encoder_start, "load_network", never)
    later = load(clip, tmp_path)
    assert later.form == first.form == form
    np.testing.assert_allclose(embed(later), embed(first), atol=1e-6)


def operations(folder):
    (path,) = folder.glob("*.operations.json")
    return path


def changed(**otherwise):
    """Damage: members of the program that are otherwise."""

    def damage(text):
        value = json.loads(text)
        value["program"] |= {name: make(value["program"]) for name, make in otherwise.items()}
        return json.dumps(value)

    return damage


def mul_for_add(program):
    first = next(place for place, step in enumerate(program["steps"]) if step[0] == "aten.add.Tensor")
    return [["aten.mul.Tensor", *step[1:]] if place == first else step for place, step in enumerate(program["steps"])]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "{}",
        lambda text: '{"program": [1], "cannot": ""}',
        changed(tensors=lambda program: program["tensors"][::-1]),
        changed(steps=mul_for_add),
        changed(steps=lambda program: [*program["steps"], ["python.floordiv", [1, 0], {}]]),
        changed(output=lambda program: program["output"] - 3),
        changed(output=lambda program: float("inf")),
        changed(expected=lambda program: program["expected"][:3]),
        changed(input=lambda program: [3, 10**9, 10**9]),
    ],
)
def test_a_damaged_file_is_said_and_made_anew_and_the_trials_stay(clip, tmp_path, monkeypatch, caplog, damage):
    first = load(clip, tmp_path)
    path = operations(tmp_path)
    whole = path.read_text()
    path.write_text(damage(whole))
    monkeypatch.setattr(encoder_start, "measured", never)
    np.testing.assert_allclose(embed(load(clip, tmp_path)), embed(first), atol=1e-6)
    assert str(path) in caplog.text
    assert path.read_text() == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "[" * 100_000,
        lambda text: text.replace('"dimension": 24', '"dimension": Infinity'),
        lambda text: text.replace('"dimension": 24', '"dimension": 7'),
        lambda text: text.replace('"direct": true', '"direct": 1e999'),
    ],
)
def test_damaged_trials_change_no_embedding(clip, tmp_path, damage):
    first = load(clip, tmp_path)
    (path,) = (one for one in tmp_path.glob("*.json") if not one.name.endswith("operations.json"))
    path.write_text(damage(path.read_text()))
    later = load(clip, tmp_path)
    np.testing.assert_allclose(embed(later), embed(first), atol=1e-6)
    assert later.fingerprint == first.fingerprint


def test_a_missing_or_unreadable_file_is_made_again(clip, tmp_path, monkeypatch):
    load(clip, tmp_path)
    path = operations(tmp_path)
    whole = path.read_text()
    monkeypatch.setattr(encoder_start, "measured", never)
    for spoil in (path.unlink, lambda: path.write_text("{")):
        spoil()
        load(clip, tmp_path)
        assert operations(tmp_path).read_text() == whole


def test_a_folder_that_cannot_be_written_is_said_and_nothing_fails(clip, tmp_path, caplog):
    (tmp_path / "forms").write_text("a file where the folder would be")
    encoder = load(clip, tmp_path / "forms")
    assert embed(encoder).shape == (5, 24)
    assert caplog.text.count("cannot be kept") == 1


@pytest.mark.parametrize(
    "otherwise", [{"size": {"shortest_edge": 32}}, {"do_resize": False}], ids=["shortest edge", "no resizing"]
)
def test_pictures_of_many_sizes_go_through_the_network_itself(tmp_path, otherwise):
    folder = networks.write_folder(tmp_path / "resnet", networks.RESNET, processor=networks.PROCESSOR | otherwise)
    first, later = (load(folder, tmp_path / "forms") for _ in range(2))
    assert not list((tmp_path / "forms").glob("*.operations.json"))
    wide = [noise(40, 90, seed=1), noise(90, 40, seed=2), noise(40, 40, seed=3)]
    exact = TransformersEncoder(folder, device="cpu", precision="float32")
    for encoder in (first, later):
        rows = encoder.encode([encoder.preprocess(picture) for picture in wide])
        np.testing.assert_allclose(rows, exact.encode([exact.preprocess(picture) for picture in wide]), atol=1e-6)


def test_words_of_a_folder_that_was_changed_are_refused(tmp_path):
    folder = networks.write_clip(tmp_path / "clip")
    load(folder, tmp_path / "forms")
    later = load(folder, tmp_path / "forms")
    networks.write_clip(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "model.safetensors", folder)
    with pytest.raises(InvalidInput, match="another encoder than when this process began"):
        later.encode_text(["a"])


def test_texts_side_by_side_are_loaded_for_once(clip, tmp_path):
    first = load(clip, tmp_path)
    later = load(clip, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda text: later.encode_text([text])[0], ["a", "b", "c", "d"]))
    np.testing.assert_allclose(rows, first.encode_text(["a", "b", "c", "d"]), atol=1e-6)


def test_other_weights_or_another_processor_are_noticed(tmp_path):
    folder = networks.write_folder(tmp_path / "vit", networks.VIT)
    found = [load(folder, tmp_path / "forms").fingerprint]
    networks.write_folder(folder, networks.VIT, seed=1)
    found.append(load(folder, tmp_path / "forms").fingerprint)
    parameters = networks.PROCESSOR | {"image_mean": [0.1, 0.2, 0.3]}
    (folder / "preprocessor_config.json").write_text(json.dumps(parameters))
    found.append(load(folder, tmp_path / "forms").fingerprint)
    assert len({one.digest for one in found}) == 3
    assert found[2].processor_parameters["image_mean"] == [0.1, 0.2, 0.3]
    (folder / "notes.txt").write_text("what is no part of an encoder")
    (folder / "x.json").mkdir()
    load(folder, tmp_path / "forms")
    assert len(list((tmp_path / "forms").glob("*.operations.json"))) == 3


def test_a_network_that_cannot_be_traced_is_tried_once(clip, tmp_path, monkeypatch):
    def cannot(*args):
        raise ValueError("no way")

    monkeypatch.setattr(encoder_traced, "_program", cannot)
    first = load(clip, tmp_path)
    monkeypatch.setattr(encoder_traced, "_program", never)
    monkeypatch.setattr(encoder_start, "measured", never)
    np.testing.assert_allclose(embed(load(clip, tmp_path)), embed(first), atol=1e-6)
    assert json.loads(operations(tmp_path).read_text())["cannot"] == "no way"
