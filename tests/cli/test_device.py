"""The device that is asked for is there, or the command says that it is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from service.adapters.encoder_forms import EAGER
from service.settings import Settings
from tests.adapters import networks
from tests.cli.conftest import Holotype

NO_DEVICE = "is no device: give auto, cpu, mps, cuda or cuda:N"


@pytest.mark.parametrize("command", [("catalogue", "list"), ("classify", "fruit", "a.jpg")])
def test_a_device_that_is_none_is_wrong_use(
    holotype: Holotype, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("HOLOTYPE_DEVICE", "foo")
    code, told = holotype(*command)
    assert code == 2
    assert told["error"]["message"] == f"a setting cannot be used: HOLOTYPE_DEVICE: 'foo' {NO_DEVICE}"


@pytest.mark.parametrize("device", ["foo", "", "cuda:", "cuda:x", "cuda:-1", "CUDA", "cuda:0 ", "gpu"])
def test_doctor_finds_a_device_that_is_none(holotype: Holotype, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setenv("HOLOTYPE_DEVICE", device)
    code, told = holotype("doctor")
    assert (code, told["state"]) == (1, "fail")
    failed = {check["name"]: check for check in told["checks"] if check["state"] == "fail"}
    assert NO_DEVICE in failed["settings"]["found"]
    assert failed["settings"]["advice"]


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12"])
def test_devices_have_a_form(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setenv("HOLOTYPE_DEVICE", device)
    assert Settings().device == device


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_an_absent_device_is_an_error_with_the_pixel_encoder_too(
    holotype: Holotype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLOTYPE_DEVICE", "cuda")
    code, told = holotype("doctor")
    assert code == 1
    failed = {check["name"]: check for check in told["checks"] if check["state"] == "fail"}
    assert set(failed) == {"device", "encoder"}
    assert "HOLOTYPE_DEVICE" in failed["device"]["advice"]
    assert "'cuda' is not here" in failed["encoder"]["found"]


def test_doctor_shows_what_the_network_s_form_was_chosen_from(
    holotype: Holotype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOLOTYPE_ENCODER", str(networks.write_folder(tmp_path / "vit", networks.VIT)))
    monkeypatch.setattr("service.adapters.encoder_transformers.cpu_flags", lambda: frozenset({"avx512_bf16"}))
    first, again = holotype("doctor")[1], holotype("doctor")[1]
    found = [{check["name"]: check["found"] for check in told["checks"]}["encoder"] for told in (first, again)]
    for form in EAGER:
        assert re.search(rf"; {form}: [0-9.]+ images/s, cosine (1\.00|0\.99)\d+", found[0])
    assert re.search(rf"on cpu, ({'|'.join(EAGER)}), 32 wide;", found[0])
    assert found[1] == found[0], "measured again"
