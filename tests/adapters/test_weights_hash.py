import hashlib
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from service.adapters.weights_hash import weights_sha256
from service.errors import InvalidInput

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(4, dtype=np.float16)}


def single(folder, tensors, **metadata):
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata=metadata)
    return folder


def test_by_hand(tmp_path):
    whole = hashlib.sha256()
    for header, tensor in ((b'["a","F16",[4]]', TENSORS["a"]), (b'["b","F32",[2,3]]', TENSORS["b"])):
        whole.update(header + hashlib.sha256(tensor.tobytes()).digest())
    assert weights_sha256(single(tmp_path / "x", TENSORS)) == whole.hexdigest()


def test_metadata_order_and_shards_do_not_count(tmp_path):
    expected = weights_sha256(single(tmp_path / "x", TENSORS))
    assert weights_sha256(single(tmp_path / "y", dict(reversed(TENSORS.items())), format="pt", by="me")) == expected
    shards = tmp_path / "z"
    shards.mkdir()
    save_file({"a": TENSORS["a"]}, shards / "model-1-of-2.safetensors")
    save_file({"b": TENSORS["b"]}, shards / "model-2-of-2.safetensors")
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weights_sha256(shards) == expected


@pytest.mark.parametrize(
    "tensors",
    [
        {**TENSORS, "a": np.ones(4, dtype=np.float16) * 2},
        {**TENSORS, "a": np.ones((2, 2), dtype=np.float16)},
        {**TENSORS, "a": np.ones(4, dtype=np.float16).view(ml_dtypes.bfloat16)},
        {"b": TENSORS["b"], "c": TENSORS["a"]},
        {"b": TENSORS["b"]},
    ],
)
def test_values_shapes_dtypes_and_names_count(tmp_path, tensors):
    assert weights_sha256(single(tmp_path / "x", TENSORS)) != weights_sha256(single(tmp_path / "y", tensors))


def test_refusals(tmp_path):
    with pytest.raises(InvalidInput, match=r"holds no model\.safetensors"):
        weights_sha256(tmp_path)
    path = tmp_path / "model.safetensors"
    for data in (b"", b"\0", b"\xff" * 100, (5).to_bytes(8, "little") + b"{nope", (2).to_bytes(8, "little") + b"[]"):
        path.write_bytes(data)
        with pytest.raises(InvalidInput, match="not a whole safetensors file"):
            weights_sha256(tmp_path)
    path.unlink()
    index = tmp_path / "model.safetensors.index.json"
    index.write_text("{}")
    with pytest.raises(InvalidInput, match="cannot be read"):
        weights_sha256(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "model-1-of-1.safetensors"}}))
    with pytest.raises(InvalidInput, match="lacks 1 of 1 weight files"):
        weights_sha256(tmp_path)
