"""How a network runs now, and how it gets faster while it runs.

An encoder begins with the fastest form that PyTorch has ready. Compiling takes a minute or two, so it is done once a
machine, for jobs that are long enough to earn it back, in a process of its own; until that has ended, and where it
fails, pictures are encoded as before. What was made is loaded by later processes for jobs of a few hundred pictures.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from service.adapters.encoder_forms import EAGER, Pass, Precision, precision_of
from service.adapters.encoder_trials import AGREEMENT, Kept, fastest, read_kept
from service.adapters.encoder_workshop import Order, load_made
from service.core.model import Float32Array

logger = logging.getLogger(__name__)

Compiling = Literal["auto", "always", "never"]
COMPILE_FROM = 5000
"""Pictures on their way from which on "auto" compiles: fewer would be through before it had earned its time back."""
LOAD_FROM = 500
"""The same for loading what was compiled before, which takes a few seconds."""


@dataclass(frozen=True, slots=True)
class Improving:
    """What making faster forms takes.

    Attributes:
        order: what is made; its precision is filled in.
        samples: makes real pictures, float32 (n, 3, h, w).
        compiling: "auto", "always" or "never".
    """

    order: Order
    samples: Callable[[], Float32Array]
    compiling: Compiling


class Running:
    """The pass that is in use. Thread-safe; passes run one at a time: two would only take each other's cores."""

    def __init__(self, run: Pass, form: str, kept: Kept, improving: Improving | None) -> None:
        """Begin with an eager form. Without `improving` it stays."""
        self._eager = self._run = run
        self._form = form
        self._kept = kept
        self._improving = improving
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def form(self) -> str:
        """The form in use."""
        return self._form

    @property
    def precision(self) -> Precision:
        """What it computes in."""
        return precision_of(self._form)

    @property
    def kept(self) -> Kept:
        """What is known of the network on this machine."""
        return self._kept

    def __call__(self, pictures: Float32Array) -> Float32Array:
        """float32 (n, 3, h, w) to (n, d), unit rows. A compiled network takes two or more; single ones go without."""
        with self._lock:
            return (self._run if len(pictures) > 1 else self._eager)(pictures)

    def expect(self, pictures: int) -> None:
        """Begin to make, or to load, what is faster, once, where so many pictures earn it back; returns at once."""
        if self._improving is None or not self._worth(self._improving.compiling, pictures):
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._improve, args=(self._improving,), name="faster-form", daemon=True
                )
                self._thread.start()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for what `expect` began."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _worth(self, compiling: Compiling, pictures: int) -> bool:
        if compiling == "never" or (self._kept.complete and fastest(self._kept.trials) in EAGER):
            return False
        return compiling == "always" or pictures >= (LOAD_FROM if self._kept.complete else COMPILE_FROM)

    def _improve(self, improving: Improving) -> None:
        order = improving.order
        try:
            samples = improving.samples()
            if not self._kept.complete:
                make(replace(order, precision=self.precision), samples)
            self._take(Path(order.kept), samples)
        except Exception:
            logger.exception(
                "no faster form of the network in %s could be had; it goes on in %s", order.folder, self._form
            )

    def _take(self, path: Path, samples: Float32Array) -> None:
        kept = read_kept(path)
        if kept is None or not kept.complete:
            logger.warning("nothing was measured for the network of %s; it goes on in %s", path, self._form)
            return
        self._kept = kept
        best = fastest(kept.trials)
        if best in EAGER:
            logger.info("no form is faster than %s here", best)
            return
        run = load_made(path, best)
        cosine = float((run(samples) * self._eager(samples)).sum(axis=1).min())
        if cosine < AGREEMENT:
            logger.warning(
                "%s gives other embeddings now (cosine %.5f) than were measured; it stays %s", best, cosine, self._form
            )
            return
        with self._lock:
            self._run, self._form = run, best
        logger.info("pictures are encoded in %s from now on", best)


def make(order: Order, samples: Float32Array) -> None:
    """Have the forms made by a process of its own, unless another one has done so. Waits for it.

    Raises:
        RuntimeError: the process failed; with the last line that it wrote.
        OSError: it could not be started.
    """
    kept = Path(order.kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="holotype-") as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one a machine at a time; who waited finds it made
        found = read_kept(kept)
        if found is not None and found.complete:
            return
        np.save(Path(scratch, "samples.npy"), samples)
        given = replace(order, samples=str(Path(scratch, "samples.npy")))
        _run([sys.executable, "-m", "service.adapters.encoder_workshop", given.to_json()], Path(scratch))


def _run(command: list[str], scratch: Path) -> None:
    """The command in a group of processes of its own, which ends with this process."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(scratch), "TMPDIR": str(scratch)},
    )

    def end() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    atexit.register(end)
    try:
        _, told = process.communicate()
    finally:
        atexit.unregister(end)
        end()
    if process.returncode != 0:
        lines = told.strip().splitlines()
        raise RuntimeError(f"making faster forms ended with {process.returncode}: {lines[-1] if lines else 'no word'}")
