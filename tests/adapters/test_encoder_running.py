import numpy as np
import pytest

from service.adapters import encoder_running
from service.adapters.encoder_devices import cpu_flags
from service.adapters.encoder_forms import EAGER
from service.adapters.encoder_running import COMPILE_FROM, LOAD_FROM, Improving, Running
from service.adapters.encoder_transformers import MATRIX_UNIT, TransformersEncoder
from service.adapters.encoder_trials import Kept, read_kept, write_kept
from service.adapters.encoder_workshop import EAGER_ATTENTION, NEEDS_COMPILER, ONNX, Order, has_compiler
from service.ports import FormTrial
from tests.adapters import networks
from tests.adapters.pictures import noise

ROWS = np.float32([[0.6, 0.8]])
UNKNOWN = Kept(2, ())
SAMPLES = np.zeros((2, 3, 4, 4), dtype=np.float32)


def answering(name, seen):
    return lambda pictures: seen.append((name, len(pictures))) or np.repeat(ROWS, len(pictures), axis=0)


def trials(**speeds):
    return tuple(FormTrial(form=f.replace("_", " "), images_per_s=s, agreement=1.0) for f, s in speeds.items())


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A Running whose workshop and loader are replaced; what they were asked for is in `.asked`."""

    class Made:
        path = tmp_path / "k.json"

        def __init__(self):
            self.asked = []
            self.seen = []

        def running(self, compiling="auto", kept=UNKNOWN):
            order = Order(
                folder="f", pooling="mean", precision="float32", forms=("float32",), samples="", kept=str(self.path),
                dimension=2,
            )  # fmt: skip
            return Running(answering("eager", self.seen), "float32", kept, Improving(order, lambda: SAMPLES, compiling))

        def make(self, order, samples):
            self.asked.append("make")
            write_kept(self.path, Kept(2, trials(float32=10, float32_compiled=20), complete=True))

        def load(self, path, form):
            self.asked.append(f"load {form}")
            return answering("made", self.seen)

    made = Made()
    monkeypatch.setattr(encoder_running, "make", made.make)
    monkeypatch.setattr(encoder_running, "load_made", made.load)
    return made


COMPLETE = Kept(2, trials(float32=10, float32_compiled=20), complete=True)


@pytest.mark.parametrize(
    ("compiling", "kept", "pictures", "asked"),
    [
        ("auto", UNKNOWN, COMPILE_FROM - 1, []),
        ("auto", UNKNOWN, COMPILE_FROM, ["make", "load float32 compiled"]),
        ("always", UNKNOWN, 0, ["make", "load float32 compiled"]),
        ("never", UNKNOWN, 10**9, []),
        ("never", COMPLETE, 10**9, []),
        ("auto", COMPLETE, LOAD_FROM - 1, []),
        ("auto", COMPLETE, LOAD_FROM, ["load float32 compiled"]),
        ("always", Kept(2, trials(float32=10, float32_compiled=10), complete=True), 10**9, []),
    ],
)
def test_who_waits_decides(made, compiling, kept, pictures, asked):
    if kept.complete:
        write_kept(made.path, kept)
    running = made.running(compiling, kept)
    running.expect(pictures)
    running.expect(pictures)
    running.join()
    assert made.asked == asked
    assert running.form == ("float32 compiled" if asked else "float32")
    running(SAMPLES)
    running(SAMPLES[:1])  # a compiled network takes two or more
    assert made.seen[-2:] == [("made" if asked else "eager", 2), ("eager", 1)]


def test_a_form_whose_embeddings_moved_is_not_taken(made, monkeypatch, caplog):
    turned = np.float32([[0.8, 0.6]])
    monkeypatch.setattr(encoder_running, "load_made", lambda path, form: lambda x: np.repeat(turned, len(x), axis=0))
    running = made.running("always")
    running.expect(0)
    running.join()
    assert running.form == "float32"
    assert "other embeddings now (cosine 0.96" in caplog.text


def test_what_fails_is_said_and_the_pictures_go_on(made, monkeypatch, caplog):
    def make(order, samples):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(encoder_running, "make", make)
    running = made.running("always")
    running.expect(0)
    running.join()
    assert running.form == "float32"
    assert "the disk is full" in caplog.text
    assert "goes on in float32" in caplog.text
    running(SAMPLES)


def test_a_workshop_that_cannot_work_says_why(tmp_path):
    order = Order(
        folder=str(tmp_path / "absent"), pooling="mean", precision="float32", forms=("float32",), samples="",
        kept=str(tmp_path / "k.json"), dimension=2,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match=r"making faster forms ended with 1: .*absent"):
        encoder_running.make(order, SAMPLES)
    assert not (tmp_path / "k.json").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    small = networks.ViTConfig(**networks.TINY_VIT | {"num_hidden_layers": 1})
    return networks.write_folder(tmp_path_factory.mktemp("vit"), small)


@pytest.fixture(scope="module")
def improved(folder, tmp_path_factory):
    """An encoder whose faster forms were really made, by the real process, and the folder where they are kept."""
    kept_in = tmp_path_factory.mktemp("forms")
    encoder = TransformersEncoder(folder, device="cpu", kept_in=kept_in, compiling="always")
    encoder.join()
    return encoder, kept_in


PICTURES = [noise(40, 40, seed=i) for i in range(5)]


def embedded(encoder):
    return encoder.encode([encoder.preprocess(one) for one in PICTURES])


@pytest.fixture(autouse=True)
def matrix_unit(monkeypatch):
    monkeypatch.setattr("service.adapters.encoder_transformers.cpu_flags", lambda: cpu_flags() | {MATRIX_UNIT})


def test_nothing_is_made_of_itself_where_it_does_not_pay(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("service.adapters.encoder_transformers.cpu_flags", lambda: cpu_flags() - {MATRIX_UNIT})
    began = []
    monkeypatch.setattr(Running, "_improve", lambda self, improving: began.append(improving))
    encoder = TransformersEncoder(folder, device="cpu", kept_in=tmp_path, compiling="auto")
    encoder.expect(10**9)
    encoder.join()
    assert not began
    monkeypatch.setattr("service.adapters.encoder_transformers.cpu_flags", lambda: cpu_flags() | {MATRIX_UNIT})
    encoder = TransformersEncoder(folder, device="cpu", kept_in=tmp_path, compiling="auto")
    encoder.expect(10**9)
    encoder.join()
    assert len(began) == has_compiler()


@pytest.mark.timeout(900)  # a compiler on a machine that others use, too
def test_a_real_network_is_compiled_once_and_agrees(improved, folder):
    encoder, kept_in = improved
    by_form = {one.form: one for one in encoder.trials}
    compiled = [one for form, one in by_form.items() if form.endswith("compiled")]
    assert len(compiled) == 1
    assert compiled[0].note in {"", NEEDS_COMPILER}
    if not compiled[0].note:
        assert compiled[0].agreement > 0.999
        assert len(list(kept_in.glob("*.pt2"))) == 1
    assert {"float32", "float32 without SDPA", ONNX, "bfloat16 openvino"} <= set(by_form)
    exact = TransformersEncoder(folder, device="cpu", precision="float32")
    assert (embedded(encoder) * embedded(exact)).sum(axis=1).min() > 0.999
    assert encoder.fingerprint == exact.fingerprint


def test_a_later_process_measures_nothing_and_loads_what_was_made(improved, folder, monkeypatch):
    encoder, kept_in = improved

    def again(*args, **kwargs):
        raise AssertionError("measured again")

    monkeypatch.setattr("service.adapters.encoder_start.measured", again)
    monkeypatch.setattr(encoder_running, "_run", again)
    later = TransformersEncoder(folder, device="cpu", kept_in=kept_in, compiling="auto")
    assert list(later.trials) == list(encoder.trials)
    later.expect(LOAD_FROM)
    later.join()
    assert later.form == encoder.form
    np.testing.assert_allclose(embedded(later), embedded(encoder), atol=1e-6)


def test_mirror_images_go_through_what_was_made_for_pictures_alone(improved, folder, monkeypatch):
    encoder, kept_in = improved
    monkeypatch.setattr(encoder_running, "_run", None)
    both = TransformersEncoder(folder, device="cpu", views="mirror", kept_in=kept_in, compiling="auto")
    both.expect(LOAD_FROM // 2)  # a picture is two passes
    both.join()
    assert both.form == encoder.form
    exact = TransformersEncoder(folder, device="cpu", views="mirror", precision="float32")
    assert (embedded(both) * embedded(exact)).sum(axis=1).min() > 0.999


def test_any_number_of_pictures_goes_through_what_was_made(improved):
    encoder, kept_in = improved
    (path,) = (one for one in kept_in.glob("*.json") if not one.name.endswith("operations.json"))
    kept = read_kept(path)
    for trial in kept.trials:
        if trial.note or trial.form in (*EAGER, EAGER_ATTENTION):
            continue
        run = encoder_running.load_made(path, trial.form)
        inputs = np.stack([encoder.preprocess(one) for one in PICTURES])
        together = run(inputs)
        np.testing.assert_allclose(run(inputs[:2]), together[:2], atol=2e-3)
        assert together.shape == (5, 32)
