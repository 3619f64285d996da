import itertools

import pytest
import torch

from service.adapters import encoder_devices
from service.adapters.encoder_devices import cpu_flags, describe_device, in_precision, resolve_device
from service.errors import InvalidInput

CPU = torch.device("cpu")
AMX = frozenset({"sse", "amx_bf16"})


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


class Timed:
    """A forward pass on a clock of its own: `seconds` by precision, `cosine` between the two precisions."""

    def __init__(self, monkeypatch, exact_s, halved_s, cosine=1.0):
        self.seconds = {torch.float32: exact_s, torch.bfloat16: halved_s}
        self.cosine = cosine
        self.now = 0.0
        self.calls = []
        monkeypatch.setattr(encoder_devices.time, "perf_counter", lambda: self.now)

    def __call__(self, network):
        dtype = next(network.parameters()).dtype
        self.calls.append(dtype)
        self.now += self.seconds[dtype]
        cosine = self.cosine if dtype == torch.bfloat16 else 1.0
        return torch.tensor([[cosine, (1 - cosine**2) ** 0.5], [cosine, (1 - cosine**2) ** 0.5]])


def precision_of(forward, flags=AMX, precision="auto", device=CPU):
    network, name = in_precision(torch.nn.Linear(2, 2), device, precision, forward, flags)
    assert str(next(network.parameters()).dtype) == f"torch.{name}"
    return name


def test_without_the_flags_nothing_is_measured(monkeypatch):
    forward = Timed(monkeypatch, 1, 0.01)
    assert precision_of(forward, flags=frozenset({"avx2", "avx512f"})) == "float32"
    assert forward.calls == []


@pytest.mark.parametrize("flags", [AMX, frozenset({"avx512_bf16"})])
def test_clearly_faster_and_in_agreement(monkeypatch, flags):
    assert precision_of(Timed(monkeypatch, 1.0, 0.5), flags) == "bfloat16"


def test_hardly_faster_is_not_worth_it(monkeypatch):
    assert precision_of(Timed(monkeypatch, 1.0, 0.95)) == "float32"
    assert precision_of(Timed(monkeypatch, 1.0, 3.0)) == "float32"


def test_faster_but_different_is_refused(monkeypatch):
    assert precision_of(Timed(monkeypatch, 1.0, 0.1, cosine=0.9985)) == "float32"
    assert precision_of(Timed(monkeypatch, 1.0, 0.1, cosine=0.9995)) == "bfloat16"


def test_what_is_asked_for_is_not_measured(monkeypatch):
    forward = Timed(monkeypatch, 1.0, 0.1)
    assert precision_of(forward, precision="float32") == "float32"
    assert precision_of(forward, precision="bfloat16", flags=frozenset()) == "bfloat16"
    assert forward.calls == []
    with pytest.raises(InvalidInput, match="precision 'float16' is unknown"):
        precision_of(forward, precision="float16")


@pytest.mark.parametrize(("capable", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_cuda_takes_bfloat16_where_it_computes_in_it(monkeypatch, capable, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: capable)
    assert precision_of(Timed(monkeypatch, 1, 1), flags=frozenset(), device=torch.device("cuda", 0)) == expected


def test_the_exact_network_is_left_as_it_was(monkeypatch):
    network = torch.nn.Linear(2, 2)
    in_precision(network, CPU, "auto", Timed(monkeypatch, 1.0, 0.5), AMX)
    assert all(weights.dtype == torch.float32 for weights in itertools.chain(network.parameters()))
