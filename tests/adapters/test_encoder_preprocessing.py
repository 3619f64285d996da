import json

import numpy as np
import pytest
from transformers import AutoImageProcessor

from service.adapters.encoder_loading import processor_parameters
from service.adapters.encoder_preprocessing import Preprocessing, by_processor, direct, direct_if_same
from tests.adapters import networks
from tests.adapters.pictures import noise

SHORTEST = {
    "image_processor_type": "BitImageProcessor",
    "size": {"shortest_edge": 36},
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 30},
    "resample": 3,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def processor(tmp_path, **otherwise):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(networks.PROCESSOR | otherwise))
    return AutoImageProcessor.from_pretrained(tmp_path, backend="pil")


def both(tmp_path, **otherwise):
    """The processor's way and, where it is the same, the direct one; with the parameters."""
    found = processor(tmp_path, **otherwise)
    parameters = processor_parameters(found)
    exact = by_processor(found)
    return exact, direct_if_same(exact, parameters, Preprocessing(exact, parameters).input_size), parameters


@pytest.mark.parametrize(
    "otherwise",
    [
        {},
        {"resample": 3},
        {"do_normalize": False},
        {"do_rescale": False, "do_normalize": False},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.3, 0.2, 0.7]},
        SHORTEST,
        SHORTEST | {"image_processor_type": "CLIPImageProcessor", "crop_size": {"height": 36, "width": 36}},
    ],
)
@pytest.mark.parametrize("fit", ["own", "pad", "stretch"])
def test_without_the_processor_pictures_are_the_same_to_the_last_bit(tmp_path, otherwise, fit):
    exact, without, parameters = both(tmp_path, **otherwise)
    assert without is not None
    one, other = Preprocessing(exact, parameters), Preprocessing(without, parameters)
    assert (one.input_size, one.shortest_edge_px) == (other.input_size, other.shortest_edge_px)
    for shape in ((40, 50), (50, 40), (1, 1), (7, 300), (36, 36), (257, 31)):
        made = one(noise(*shape), fit)
        assert made.dtype == np.float32
        np.testing.assert_array_equal(other(noise(*shape), fit), made)


@pytest.mark.parametrize(
    "otherwise",
    [
        {"do_center_crop": True, "crop_size": {"height": 48, "width": 48}},  # larger than the picture: a border
        {"size": {"shortest_edge": 32, "longest_edge": 40}},
        {"image_processor_type": "DPTImageProcessor", "ensure_multiple_of": 28, "keep_aspect_ratio": True},
    ],
)
def test_what_only_the_processor_knows_is_left_to_it(tmp_path, otherwise):
    assert both(tmp_path, **otherwise)[1] is None


def test_parameters_that_lack_something_are_left_to_the_processor(tmp_path):
    exact, _, parameters = both(tmp_path)
    for name in ("size", "resample", "rescale_factor", "image_mean", "image_std"):
        lacking = {key: value for key, value in parameters.items() if key != name}
        assert direct_if_same(exact, lacking, (32, 32)) is None, name


def test_another_arithmetic_is_found_out(tmp_path):
    exact, _, parameters = both(tmp_path)
    assert direct_if_same(exact, {**parameters, "resample": 3}, (32, 32)) is None
    assert direct_if_same(exact, {**parameters, "image_mean": [0.5, 0.5, 0.5000001]}, (32, 32)) is None


def test_by_hand():
    parameters = {"do_rescale": True, "rescale_factor": 0.5, "do_normalize": True,
                  "image_mean": [1, 2, 3], "image_std": [1, 2, 4]}  # fmt: skip
    made = direct(parameters)(np.array([[[2, 4, 6], [10, 20, 30]]], dtype=np.uint8), {})
    np.testing.assert_array_equal(made, np.array([[[0, 4]], [[0, 4]], [[0, 3]]], dtype=np.float32))
