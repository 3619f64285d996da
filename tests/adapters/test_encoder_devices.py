import pytest
import torch

from service.adapters.encoder_devices import cpu_flags, describe_device, resolve_device
from service.errors import InvalidInput

CPU = torch.device("cpu")


def test_auto_takes_what_is_there():
    found = resolve_device("auto")
    assert found.type == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    assert describe_device(CPU) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", "cpu:1"])
def test_unknown_devices(name):
    with pytest.raises(InvalidInput, match="is unknown"):
        resolve_device(name)


def test_absent_devices_are_errors():
    with pytest.raises(InvalidInput, match=r"'cuda:99' is not here: PyTorch .* sees \d+ CUDA devices"):
        resolve_device("cuda:99")
    if not torch.backends.mps.is_available():
        with pytest.raises(InvalidInput, match="'mps' is not here"):
            resolve_device("mps")


def test_a_cuda_device_that_is_there_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA L4")
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert describe_device(torch.device("cuda", 1)) == "cuda:1 (NVIDIA L4)"
    with pytest.raises(InvalidInput, match="sees 2 CUDA devices"):
        resolve_device("cuda:2")


def test_flags_of_this_processor():
    assert all(flag == flag.strip() and flag for flag in cpu_flags())
