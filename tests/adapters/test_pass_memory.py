"""What passes need is fetched from the kernel once; run in a process of its own, for the settings are the process's."""

import subprocess
import sys

import pytest

from tests.processes import ROOT

FAULTS = """
import resource, sys, threading
import numpy as np
from service.adapters.pass_memory import keep_pass_memory

if sys.argv[1] == "kept":
    assert keep_pass_memory()
    assert keep_pass_memory()

def passes():
    for number in range(12):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        blocks = [np.ones(20_000_000, np.uint8) for _ in range(8)]
        del blocks
        found.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

found = []
thread = threading.Thread(target=passes)
thread.start()
thread.join()
print(sum(found[4:]))
"""


def faults(how):
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_passes_in_a_thread_of_their_own_take_no_new_pages():
    taken_anew = faults("left")
    if taken_anew < 1000:
        pytest.skip("this machine's library keeps the memory by itself, or gives it in large pages")
    assert faults("kept") < taken_anew / 20
