"""Handing over labelled pictures that lie in files: a folder, a manifest, one picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from service.errors import AlreadyExists, CatalogueNotFound, InvalidInput
from service.records import Catalogue, Job, JobKind
from service.usecases.catalogues import create_catalogue
from service.usecases.context import Context, OnProgress
from service.usecases.files import read_file, read_mask
from service.usecases.finish_ingest import ingest_report
from service.usecases.handing_over import Picture, filled_job
from service.usecases.labels import checked_name
from service.usecases.manifests import SPLITS
from service.usecases.sources import Source, Sources

__all__ = ["ingest_report", "start_ingest"]

READING = "reading"


def start_ingest(
    context: Context,
    tenant: str,
    name: str,
    path: Path,
    *,
    split: str = "auto",
    label: str | None = None,
    encoder: str,
    on_progress: OnProgress = lambda stage, done, total: None,  # noqa: ARG005 - the names say what arrives
) -> Job:
    """Read the pictures of PATH and queue them for embedding; the job as queued. Broken ones are found by the workers.

    Args:
        context: the ports.
        tenant: whose catalogue it is.
        name: the catalogue; made with `encoder` when it is not there.
        path: a folder of label/picture.jpg, a CSV or JSONL manifest, or one picture.
        split: "auto" (decided at the end of the job), "support", "tuning" or "holdout".
        label: label of all pictures; refused for a folder of class folders.
        encoder: encoder of a new catalogue; one that is there keeps its own.
        on_progress: told ("reading", pictures read, pictures in all).

    Raises:
        InvalidInput: PATH, a name, the label or the split cannot be used, or there is no picture. Nothing was taken.
        Unavailable: an outside system does not answer.
        LeaseHeld: this process was held up so long that the job was given up; run it again.
    """
    checked_name(tenant, "tenant")
    checked_name(name)
    sources = sources_to_ingest(path, split, label)
    catalogue = _catalogue(context, tenant, name, encoder)
    parameters = {"path": str(path), "split": split, "label": label}

    def taken(done: int) -> None:
        on_progress(READING, done, len(sources))

    taken(0)
    pictures = (_picture(source) for source in sources)
    return filled_job(context, catalogue, JobKind.INGEST, parameters, pictures, on_taken=taken)


def sources_to_ingest(path: Path, split: str, label: str | None) -> Sources:
    """The pictures of PATH, at least one. Raises InvalidInput, ManifestError as `start_ingest`."""
    if split not in SPLITS:
        raise InvalidInput(f"the split is {split!r}; it must be one of {', '.join(SPLITS)}")
    sources = Sources(path, label, SPLITS[split])
    if not sources:
        raise InvalidInput(
            f"no picture under {path}: looked for JPEG, PNG and WebP files (.jpg, .png, .webp) in a folder per class",
            path=str(path),
        )
    return sources


def _catalogue(context: Context, tenant: str, name: str, encoder: str) -> Catalogue:
    try:
        return context.registry.catalogue(tenant, name)
    except CatalogueNotFound:
        pass
    try:
        return create_catalogue(context, tenant, name, encoder)
    except AlreadyExists:  # another process was quicker
        return context.registry.catalogue(tenant, name)


def _picture(source: Source) -> Picture:
    return Picture(
        source=source.name,
        read=partial(read_file, source.path),
        label=source.label,
        split=source.split,
        metadata=source.metadata,
        failure=source.failure,
        crop=source.crop,
        read_mask=None if source.mask is None else partial(read_mask, source.mask),
        keep_aspect=source.keep_aspect,
    )
