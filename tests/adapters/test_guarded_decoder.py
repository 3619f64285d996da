"""Decoding in processes of their own: the same pixels, and a process that ends costs nothing but its picture."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.adapters import guarded_decoder
from service.adapters.guarded_decoder import GuardedDecoder
from service.adapters.images import PillowDecoder
from service.errors import ImageRejected, Unavailable
from tests.adapters.pictures import as_file, noise

DEADLY = "tests.adapters.deadly_decoder"
GOOD = as_file(noise(seed=1, height=50, width=70))
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def decoder():
    return GuardedDecoder(2)


@pytest.fixture(scope="module")
def deadly():
    return GuardedDecoder(2, DEADLY)


def outcome(call):
    """What a call gives: its value, or its refusal with the details."""
    try:
        return call()
    except ImageRejected as error:
        return error.message, error.details


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_it_gives_what_pillow_gives(decoder, kind):
    data, own = as_file(noise(seed=2, height=61, width=90), kind), PillowDecoder()
    for box in (None, (3, 4, 20, 10)):
        here, there = own.decode(data, 8, box), decoder.decode(data, 8, box)
        assert np.array_equal(here.pixels, there.pixels)
        assert there.pixels.flags.writeable
        assert (here.width_px, here.height_px, here.perceptual_hash) == (
            there.width_px,
            there.height_px,
            there.perceptual_hash,
        )
        assert decoder.thumbnail(data, 16, box) == own.thumbnail(data, 16, box)
    assert decoder.size(data) == own.size(data)
    assert decoder.mask(data) == own.mask(data)


@pytest.mark.parametrize("data", [b"", b"no picture", GOOD[:400], as_file(noise(height=2, width=200))], ids=range(4))
def test_it_refuses_in_the_same_words(decoder, data):
    own = PillowDecoder()
    for call in ("mask", "size"):
        assert outcome(lambda call=call: getattr(decoder, call)(data)) == outcome(
            lambda call=call: getattr(own, call)(data)
        )
    with pytest.raises(ImageRejected) as refused:
        own.decode(data, 8)
    assert outcome(lambda: decoder.decode(data, 8)) == (refused.value.message, refused.value.details)
    with pytest.raises(ImageRejected, match="box"):
        decoder.decode(GOOD, 8, (60, 40, 20, 20))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("crash", "it ended the decoder twice (was ended by SIGSEGV): open it in an image editor and save it again"),
        ("leave", "it ended the decoder twice (ended with exit code 3): open it in an image editor and save it again"),
        ("spin", "it takes more than 60 s of processor time to decode: open it in an image editor and save it again"),
        ("fill", "it needs more than 1024 MB of memory to decode: scale it down"),
        ("write", "decoding it failed (OSError: [Errno 27] File too large)"),
        ("lie", "it ended the decoder twice (gave no answer: pixels that are not as many as it says)"),
        ("flood", "it ended the decoder twice (gave no answer: a message of"),
        ("steer", "red? sentence"),
    ],
)
def test_what_a_picture_does_to_its_decoder_is_told_and_the_next_is_decoded(deadly, what, said):
    with pytest.raises(ImageRejected) as refused:
        deadly.decode(GOOD + f"deadly:{what}".encode(), 8)
    assert said in refused.value.message
    assert refused.value.message.isprintable()
    assert deadly.decode(GOOD, 8).pixels.shape == (50, 70, 3)


def test_neighbours_in_other_threads_are_unharmed(deadly):
    files = [GOOD + (b"deadly:crash" if number % 5 == 0 else b"") for number in range(30)]
    with ThreadPoolExecutor(6) as pool:
        ended = list(pool.map(lambda data: outcome(lambda: deadly.decode(data, 8)), files))
    assert [isinstance(one, tuple) for one in ended] == [number % 5 == 0 for number in range(30)]
    assert len([one for one in guarded_decoder._idle if one.decoder == DEADLY and one.alive]) <= 2


def test_it_has_no_setting_and_no_file_of_its_starter(deadly, monkeypatch, tmp_path):
    monkeypatch.setenv("HOLOTYPE_DATABASE_URL", "postgresql://u:secret@h/d")
    for idle in [one for one in guarded_decoder._idle if one.decoder == DEADLY]:
        idle.kill()
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        with pytest.raises(ImageRejected) as told:
            deadly.decode(GOOD + b"deadly:tell", 8)
    assert "HOLOTYPE" not in told.value.message
    assert "held" not in told.value.message
    assert "PYTHONPATH" in told.value.message


def test_one_that_somebody_ended_meanwhile_costs_no_picture(decoder):
    decoder.decode(GOOD, 8)
    for idle in guarded_decoder._idle:
        os.kill(idle._process.pid, signal.SIGKILL)
    assert decoder.decode(GOOD, 8).width_px == 70


def test_those_that_are_begun_early_are_the_ones_that_decode():
    own = GuardedDecoder(1)
    own.decode(GOOD, 8)
    for idle in [one for one in guarded_decoder._idle if one.decoder == guarded_decoder.DECODER]:
        idle.kill()
    own.get_ready()
    until = time.monotonic() + 30
    while not (early := _living()) and time.monotonic() < until:
        time.sleep(0.01)
    own.decode(GOOD, 8)
    assert len(early) == 1
    assert _living() == early


def test_what_cannot_be_begun_early_is_told_by_the_first_picture():
    none = GuardedDecoder(1, "tests.adapters.no_such_decoder")
    none.get_ready()
    with pytest.raises(Unavailable, match="does not start"):
        none.decode(GOOD, 8)


def test_one_that_cannot_be_started_is_an_outage():
    with pytest.raises(Unavailable, match="does not start: it ended with exit code 1"):
        GuardedDecoder(1, "tests.adapters.no_such_decoder").decode(GOOD, 8)


def _living():
    return [one._process.pid for one in guarded_decoder._idle if one.decoder == guarded_decoder.DECODER and one.alive]


def _pages_taken():
    """How often the living decoders had memory from the kernel: field 10 of proc(5), "minflt"."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in _living()]
    return sum(int(stat[7]) for stat in stats)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of pages, and glibc is told to keep them")
def test_small_pictures_use_the_memory_of_those_before(decoder):
    data = as_file(noise(seed=3, height=350, width=350), "JPEG")
    for _ in range(8):
        decoder.decode(data, 224)
    before = _pages_taken()
    for _ in range(10):
        decoder.decode(data, 224)
    assert _pages_taken() - before < 10 * 30, "each would take 300"


def test_it_ends_with_its_starter_whatever_ends_that():
    code = (
        "import sys, time; from service.adapters import guarded_decoder as g; from tests.adapters.test_guarded_decoder"
        " import GOOD; g.GuardedDecoder(1).decode(GOOD, 8); print(g._idle[0]._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        pid = int(starter.stdout.readline())
        os.kill(pid, 0)
        starter.kill()
    until = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


def test_a_fork_holds_no_decoder_open(decoder):
    decoder.decode(GOOD, 8)
    assert guarded_decoder._idle
    channels = [one.channel.fileno() for one in guarded_decoder._idle]
    pid = os.fork()
    if not pid:
        held = [number for number in channels if Path(f"/proc/self/fd/{number}").exists()]
        os._exit(1 if held or guarded_decoder._idle else 0)
    assert os.waitpid(pid, 0)[1] == 0
    assert decoder.decode(GOOD, 8).width_px == 70


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_those_that_nobody_uses_are_waited_for_at_the_end():
    """Else Python tells of each as a resource that was forgotten."""
    code = (
        "from service.adapters.guarded_decoder import GuardedDecoder\n"
        "from tests.adapters.pictures import as_file, noise\n"
        "print(GuardedDecoder(1).size(as_file(noise(seed=1))))\n"
    )
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.startswith("(")
    assert done.stderr == ""
