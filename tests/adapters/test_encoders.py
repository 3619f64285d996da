import shutil
import threading

import numpy as np
import pytest

from service.adapters import encoders
from service.adapters.encoder_pixel import PixelEncoder
from service.adapters.encoders import Encoders
from service.adapters.weights_hash import weights_sha256
from service.errors import InvalidInput
from tests.adapters import networks


@pytest.mark.parametrize("specification", ["pixel", "packaged:vit-s14", "openai/clip-vit-base-patch32"])
def test_checking_loads_and_fetches_nothing(tmp_path, monkeypatch, specification):
    monkeypatch.setattr(encoders, "TransformersEncoder", None)
    monkeypatch.setattr(encoders, "packaged_folder", None)
    monkeypatch.setattr(encoders, "hub_folder", None)
    Encoders(tmp_path / "cache").check(specification)
    assert not (tmp_path / "cache").exists()


def test_checking_refuses_what_can_never_load(tmp_path):
    for specification in ("nonsense", "packaged:clip", str(tmp_path), str(tmp_path / "absent")):
        with pytest.raises(InvalidInput):
            Encoders(tmp_path).check(specification)
        with pytest.raises(InvalidInput):
            Encoders(tmp_path).load(specification)


def test_pixel_needs_nothing(tmp_path):
    assert isinstance(Encoders(tmp_path).load("pixel"), PixelEncoder)


def test_a_folder_is_loaded_once_even_by_many_threads(tmp_path, monkeypatch):
    networks.write_folder(tmp_path, networks.VIT)
    provider = Encoders(tmp_path / "cache", device="cpu")
    loads = []
    load = encoders.TransformersEncoder
    monkeypatch.setattr(encoders, "TransformersEncoder", lambda *a, **k: loads.append(a) or load(*a, **k))
    found = []
    threads = [threading.Thread(target=lambda: found.append(provider.load(str(tmp_path)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({id(each) for each in found}) == len(loads) == 1


def test_the_pooling_of_the_specification_is_used(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    provider = Encoders(tmp_path / "cache", device="cpu")
    own, mean = provider.load(str(tmp_path)), provider.load(f"{tmp_path}?pooling=mean")
    assert (own.fingerprint.pooling, mean.fingerprint.pooling) == ("class_token", "mean")
    picture = [own.preprocess(np.eye(40, dtype=np.uint8)[:, :, None].repeat(3, axis=2) * 255)]
    assert not np.allclose(own.encode(picture), mean.encode(picture), atol=1e-2)


def test_so_are_its_views(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    provider = Encoders(tmp_path / "cache", device="cpu", precision="float32")
    one, two = (
        provider.load(f"{tmp_path}?{end}") for end in ("views=mirror&pooling=mean", "pooling=mean&views=mirror")
    )
    assert one is two
    assert one.fingerprint.pooling == "mean+mirror"


def test_an_absent_device_is_an_error(tmp_path):
    networks.write_folder(tmp_path, networks.VIT)
    with pytest.raises(InvalidInput, match="'cuda:99' is not here"):
        Encoders(tmp_path / "cache", device="cuda:99").load(str(tmp_path))


def test_a_fine_tuned_encoder_is_named_by_its_weights_and_refused_when_they_are_others(tmp_path):
    folder = networks.write_folder(tmp_path / "vit", networks.VIT)
    name = weights_sha256(folder)[:16]
    provider = Encoders(tmp_path / "encoders", device="cpu")
    with pytest.raises(InvalidInput, match=rf"finetuned:{name} is not in .*: copy its folder finetuned-{name}"):
        provider.load(f"finetuned:{name}")
    place = tmp_path / "encoders" / f"finetuned-{name}"
    shutil.copytree(folder, place)
    assert provider.load(f"finetuned:{name}").fingerprint == provider.load(str(folder)).fingerprint
    assert {path.parent for path in provider.files_of(f"finetuned:{name}?pooling=mean").values()} == {place}
    assert provider.files_of("pixel") == provider.files_of(str(folder)) == {}
    place.rename(tmp_path / "encoders" / "finetuned-0123456789abcdef")
    with pytest.raises(InvalidInput, match=f"have sha256 {name}"):
        provider.load("finetuned:0123456789abcdef")
    for other in ("../../etc", name.upper(), name + "/..", ""):
        with pytest.raises(InvalidInput, match="16 hex digits"):
            provider.check(f"finetuned:{other}")
