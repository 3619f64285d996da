"""Catalogues with pictures in them, and selections, made by the embedded workers."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

from service.records import Job, JobState
from service.usecases.context import Context
from service.usecases.ingest import start_ingest
from service.usecases.optimise import start_optimise
from service.usecases.optimise_request import OptimiseRequest

COLOURS = {"apple": (200, 30, 30), "lime": (60, 180, 40), "plum": (90, 30, 120)}
PATIENCE_S = 120.0


def picture(label: str, number: int, side: int = 48) -> bytes:
    """A PNG of the label's colour under noise of its own."""
    rng = np.random.default_rng([sum(label.encode()), number])
    pixels = np.clip(np.array(COLOURS.get(label, (128, 128, 128))) + rng.normal(0, 45, (side, side, 3)), 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_fruit(folder: Path, count: int = 6, labels: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """`count` pictures of each label, as label/number.png."""
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / label / f"{number}.png").write_bytes(picture(label, number))
    return folder


def ingest(context: Context, tenant: str, name: str, folder: Path) -> Job:
    """Ingest a folder of label/picture and wait for the end."""
    context.registry.ensure_tenant(tenant)
    return finished(context, start_ingest(context, tenant, name, folder, encoder="pixel").id)


def optimise(context: Context, tenant: str, name: str, **changes: object) -> str:
    """Optimise and wait for the end: the id of the selection."""
    request = OptimiseRequest(**{"trials": 2, "seed": 3, **changes})  # type: ignore[arg-type]
    job = finished(context, start_optimise(context, tenant, name, request).id)
    assert job.result is not None, job.error
    return str(job.result["selection"])


def finished(context: Context, job_id: str) -> Job:
    """The job at its end."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        job = context.registry.job(job_id)
        if job.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED):
            return job
        time.sleep(0.02)
    raise AssertionError(f"job {job_id} did not end within {PATIENCE_S:.0f} s: {context.registry.job(job_id)}")
