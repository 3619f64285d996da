import numpy as np
import pytest

from service.adapters import encoder_trials
from service.adapters.encoder_trials import Kept, fastest, key_of, measured, photographs, read_kept, write_kept
from service.ports import FormTrial

SAMPLES = np.zeros((4, 3, 2, 2), dtype=np.float32)


class Timed:
    """Passes on a clock of their own: each takes the seconds it is given, in turn, and answers with its cosine."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        self.calls = []
        monkeypatch.setattr(encoder_trials.time, "perf_counter", lambda: self.now)

    def __call__(self, name, *seconds, cosine=1.0):
        left = list(seconds)

        def run(pictures):
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return np.tile(np.float32([cosine, (1 - cosine**2) ** 0.5]), (len(pictures), 1))

        return run


def test_forms_are_timed_in_turn_and_the_median_counts(monkeypatch):
    timed = Timed(monkeypatch)
    passes = {"float32": timed("a", 100, 4, 1, 2), "bfloat16": timed("b", 100, 0.5, 8, 1, cosine=0.9995)}
    trials = measured(passes, SAMPLES, rounds=3)
    assert timed.calls == ["a", "b"] + ["a", "b"] * 3
    assert [(one.form, one.images_per_s) for one in trials] == [("float32", 2.0), ("bfloat16", 4.0)]
    assert [one.agreement for one in trials] == pytest.approx([1.0, 0.9995], abs=1e-6)


def test_a_form_that_fails_is_a_line_of_the_table(monkeypatch):
    def broken(pictures):
        raise RuntimeError("no such kernel\nand more")

    timed = Timed(monkeypatch)
    trials = measured({"float32": timed("a", 1), "bfloat16": broken}, SAMPLES)
    assert trials[1] == FormTrial(form="bfloat16", note="fails: RuntimeError: no such kernel")
    with pytest.raises(RuntimeError, match="no such kernel"):
        measured({"float32": broken}, SAMPLES)


def trials_of(**speeds):
    return tuple(FormTrial(form=form, images_per_s=s, agreement=c) for form, (s, c) in speeds.items())


def test_the_fastest_that_agrees():
    assert fastest(trials_of(float32=(10, 1), a=(20, 0.9995), b=(30, 0.9985))) == "a"
    assert fastest(trials_of(float32=(10, 1), a=(20, 0.9995), b=(30, 0.9995))) == "b"
    assert fastest(trials_of(float32=(10, 1), bfloat16=(11, 0.9995), b=(9, 1))) == "bfloat16"
    assert fastest(trials_of(float32=(10, 1), a=(20, 0.9995), b=(30, 0.9995)), among=("float32", "a")) == "a"


def test_what_was_compiled_has_to_be_a_fifth_faster_than_what_is_ready():
    assert fastest(trials_of(float32=(10, 1), bfloat16=(20, 1), compiled=(23.9, 1))) == "bfloat16"
    assert fastest(trials_of(float32=(10, 1), bfloat16=(20, 1), compiled=(24.1, 1))) == "compiled"
    assert fastest(trials_of(float32=(10, 1), compiled=(11.9, 1))) == "float32"
    assert fastest(trials_of(float32=(10, 1), compiled=(12.1, 1))) == "compiled"


def test_hardly_faster_is_not_worth_it_and_nothing_measured_is_float32():
    assert fastest(trials_of(float32=(10, 1), a=(10.4, 1))) == "float32"
    assert fastest(()) == "float32"
    assert fastest((FormTrial(form="a", note="is not installed"),)) == "float32"


def test_what_was_measured_is_kept_whole(tmp_path, caplog):
    kept = Kept(384, (*trials_of(float32=(10, 1)), FormTrial(form="x", note="is not installed")), complete=True)
    path = tmp_path / "forms" / "k.json"
    assert read_kept(path) is None
    assert not caplog.records
    write_kept(path, kept)
    assert read_kept(path) == kept
    assert [one.name for one in path.parent.iterdir()] == ["k.json"]
    path.write_text(path.read_text()[:40])
    assert read_kept(path) is None
    assert "is made anew" in caplog.text


def test_a_folder_that_cannot_be_written_is_said(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    write_kept(tmp_path / "file" / "k.json", Kept(3, ()))
    assert "cannot be kept" in caplog.text


def test_another_network_device_or_version_is_measured_anew(monkeypatch):
    facts = ("a" * 64, "c" * 64, "mean", "cpu", 2)
    key = key_of(*facts)
    assert key == key_of(*facts)
    others = [(*facts[:place], other, *facts[place + 1 :]) for place, other in enumerate(("b", "d", "", "cuda:0", 1))]
    found = {key_of(*one) for one in others}
    monkeypatch.setattr(encoder_trials, "_version", lambda package: "9.9" if package == "torch" else "1")
    assert len(found | {key, key_of(*facts)}) == len(others) + 2


def test_the_photographs_are_sixteen_different_pictures():
    pictures = photographs()
    assert len(pictures) == 16
    assert {one.dtype for one in pictures} == {np.dtype(np.uint8)}
    assert all(min(one.shape[:2]) >= 150 and one.std() > 10 for one in pictures)
    assert len({one.tobytes() for one in pictures}) == 16
