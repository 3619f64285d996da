"""The real training path, on tiny random networks."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from service.adapters.encoder_finetuning import TransformersFinetuner
from service.adapters.encoder_transformers import TransformersEncoder
from service.adapters.encoders import Encoders
from service.errors import InvalidInput
from service.ports import TrainingPictures, TrainingPlan
from tests.adapters import networks

PLAN = TrainingPlan(blocks=1, epochs=6, batch=16, learning_rate=2e-3, seed=0)


def tinted(code, random):
    """Classes differ by a faint tint, and all pictures far more by how bright they are."""
    tint = np.array([(12, -12, 0), (-12, 12, 0), (0, -12, 12), (12, 12, -24)][code])
    colour = 128 + tint + random.uniform(-70, 70)
    return np.clip(colour + random.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return networks.write_folder(tmp_path_factory.mktemp("vit"), networks.VIT)


@pytest.fixture(scope="module")
def pictures(vit):
    random = np.random.default_rng(0)
    codes = np.repeat(np.arange(4), 24)
    encoder = TransformersEncoder(vit, device="cpu", precision="float32")
    inputs = [encoder.preprocess(tinted(code, random)) for code in codes]
    learnt = np.arange(len(codes)) % 2 == 0
    return TrainingPictures(
        inputs=lambda numbers: [inputs[number] for number in numbers],
        codes=codes,
        learnt=np.flatnonzero(learnt),
        watched=np.flatnonzero(~learnt),
    )


def finetuner(folder):
    return TransformersFinetuner(Encoders(folder / "cache", device="cpu"), folder / "encoders", device="cpu")


@pytest.fixture(scope="module")
def tuned(vit, pictures, tmp_path_factory):
    steps = []
    found = finetuner(tmp_path_factory.mktemp("tuned")).finetune(
        str(vit), pictures, PLAN, lambda done, total: steps.append((done, total))
    )
    return found, steps


def nearest_mean(folder, pictures, pooling=None, views=None):
    """Share of the watched pictures that the encoder in the folder puts nearest to their own class's mean."""
    encoder = TransformersEncoder(folder, device="cpu", precision="float32", pooling=pooling, views=views)
    learnt, watched = (encoder.encode(pictures.inputs(rows)) for rows in (pictures.learnt, pictures.watched))
    codes = pictures.codes[pictures.learnt]
    means = np.stack([learnt[codes == code].sum(axis=0) for code in range(4)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return float(((watched @ means.T).argmax(axis=1) == pictures.codes[pictures.watched]).mean())


def test_training_tells_the_classes_better_apart_on_pictures_it_has_not_learnt(vit, tuned, pictures):
    found, steps = tuned
    assert found.folder is not None
    assert found.watched[found.best_epoch] == max(found.watched) > found.watched[0] + 0.1
    assert nearest_mean(vit, pictures) == pytest.approx(found.watched[0], abs=1e-9)
    assert nearest_mean(found.folder, pictures) == pytest.approx(found.watched[found.best_epoch], abs=1e-9)
    assert steps[0] == (1, 18)
    assert [done for done, _ in steps] == list(range(1, 3 * found.epochs + 1))


def test_only_the_last_blocks_and_the_norm_behind_them_change(vit, tuned):
    before, after = load_file(vit / "model.safetensors"), load_file(tuned[0].folder / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(".1." in name for name in changed)
    assert all(".1." in name or name.startswith("layernorm") for name in changed), sorted(changed)


def test_the_folder_is_an_encoder_of_its_own(vit, tuned):
    ours, theirs = (TransformersEncoder(folder, device="cpu").fingerprint for folder in (tuned[0].folder, vit))
    assert ours.digest != theirs.digest
    assert (ours.pooling, ours.processor_parameters, ours.dimension) == (
        theirs.pooling, theirs.processor_parameters, theirs.dimension,
    )  # fmt: skip
    assert tuned[0].folder.name == f"finetuned-{ours.weights_sha256[:16]}"
    assert [path.name for path in tuned[0].folder.parent.iterdir()] == [tuned[0].folder.name], "nothing half is left"


def test_the_same_seed_gives_the_same_encoder_and_leaves_random_numbers_alone(vit, pictures, tuned, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = finetuner(tmp_path).finetune(str(vit), pictures, PLAN, lambda _done, _total: None)
    assert torch.equal(torch.rand(1), expected)
    assert (again.folder.name, again.watched) == (tuned[0].folder.name, tuned[0].watched)


def test_an_encoder_of_mirror_images_too_is_watched_and_named_as_one(vit, pictures, tmp_path):
    specification = f"{vit}?pooling=mean&views=mirror"
    found = finetuner(tmp_path).finetune(specification, pictures, PLAN, lambda _done, _total: None)
    assert found.encoder == f"finetuned:{found.folder.name.removeprefix('finetuned-')}?pooling=mean&views=mirror"
    tuned = TransformersEncoder(found.folder, device="cpu", precision="float32", pooling="mean", views="mirror")
    assert tuned.fingerprint.pooling == "mean+mirror"
    assert nearest_mean(vit, pictures, "mean", "mirror") == pytest.approx(found.watched[0], abs=1e-9)
    assert nearest_mean(found.folder, pictures, "mean", "mirror") == pytest.approx(max(found.watched), abs=1e-9)


def test_where_no_epoch_is_better_nothing_is_written(vit, pictures, tmp_path):
    still = TrainingPlan(blocks=1, epochs=9, batch=16, learning_rate=1e-12, seed=0)
    found = finetuner(tmp_path).finetune(str(vit), pictures, still, lambda _done, _total: None)
    assert (found.folder, found.best_epoch) == (None, 0)
    assert found.epochs == 3, "after three epochs that were no better it ends"
    assert not (tmp_path / "encoders").exists()


def test_what_the_callback_raises_ends_the_training(vit, pictures, tmp_path):
    class HaltError(Exception):
        pass

    def halt(done, _total):
        if done == 2:
            raise HaltError

    with pytest.raises(HaltError):
        finetuner(tmp_path).finetune(str(vit), pictures, PLAN, halt)
    assert not (tmp_path / "encoders").exists()


def test_a_clip_keeps_its_words(tmp_path):
    folder = networks.write_clip(tmp_path / "clip")
    encoder = TransformersEncoder(folder, device="cpu", precision="float32")
    random = np.random.default_rng(1)
    codes = np.repeat(np.arange(2), 8)
    inputs = [encoder.preprocess(tinted(code, random)) for code in codes]
    everything = np.arange(len(codes))
    pictures = TrainingPictures(lambda numbers: [inputs[n] for n in numbers], codes, everything, everything[:0])
    found = finetuner(tmp_path).finetune(str(folder), pictures, PLAN, lambda _done, _total: None)
    tuned = TransformersEncoder(found.folder, device="cpu", precision="float32")
    assert tuned.encodes_text
    np.testing.assert_array_equal(tuned.encode_text(["a cat"]), encoder.encode_text(["a cat"]))
    assert not np.allclose(tuned.encode(inputs), encoder.encode(inputs))


def test_what_cannot_be_trained_is_said(vit, pictures, tmp_path):
    trainer = finetuner(tmp_path)
    with pytest.raises(InvalidInput, match="'pixel' has no weights"):
        trainer.check("pixel")
    many = TrainingPlan(blocks=3, epochs=1, batch=16, learning_rate=1e-3, seed=0)
    with pytest.raises(InvalidInput, match=r"3 blocks were asked for; the network in .* has 2"):
        trainer.finetune(str(vit), pictures, many, lambda _done, _total: None)
    convolutional = networks.write_folder(tmp_path / "resnet", networks.RESNET)
    with pytest.raises(InvalidInput, match=r"'resnet'.*no stack of transformer blocks"):
        trainer.finetune(str(convolutional), pictures, PLAN, lambda _done, _total: None)
