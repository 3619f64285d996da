"""A whole catalogue out of an archive: a new one of the caller's, or nothing.

First all of the archive is read and checked (`archive_checks`); a failure up to here has written nothing. Then the
catalogue is built out of sight: its row has a name that nobody can give, so no list shows it and no name finds it. Rows
come before bytes and points, so that whoever deletes the same pictures elsewhere sees that they are needed. The last
transaction gives it its name. Whatever fails before that is deleted again, and after a `kill -9` the sweeper does it:
a catalogue without a name whose lease `import:ID` has run out is nobody's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO
from uuid import uuid4

from service.core.crop import hash_and_crop, picture_name
from service.core.model import Float32Array
from service.core.reference_set import ReferenceSet
from service.core.stored_embedding import StoredEmbedding
from service.errors import AlreadyExists, CatalogueNotFound, HolotypeError, LeaseHeld
from service.records import Catalogue, Dropped, Example, SelectionMember, SelectionState
from service.usecases import publish
from service.usecases.archive_checks import (
    check_archive,
    head_of_archive,
    members_of,
    parts_of,
    picture_of,
    projections_of,
    report_of,
    selection_of,
)
from service.usecases.archive_dropped import archived_dropped
from service.usecases.archive_fields import encoded
from service.usecases.archive_format import ArchivedExample
from service.usecases.archive_prompts import archived_prompts
from service.usecases.archive_reading import Archive, ArchiveLimits, opened_archive
from service.usecases.archive_report import renamed
from service.usecases.catalogues import CatalogueSummary, check_allowed, remove_catalogue, show_catalogue
from service.usecases.context import (
    Context,
    embedding_key,
    example_id_of,
    head_key,
    image_key,
    partition_of,
    references_key,
    report_key,
)
from service.usecases.labels import checked_name
from service.usecases.leases import KeptLease, kept_lease
from service.usecases.points import point_of
from service.usecases.splitting import align_payloads, assign_open_splits, batches

logger = logging.getLogger(__name__)

Sleep = Callable[[float], None]


def import_catalogue(
    context: Context,
    tenant: str,
    name: str,
    file: IO[bytes],
    limits: ArchiveLimits,
    sleep: Sleep = time.sleep,
    *,
    encoders: Sequence[str] | None = None,
) -> CatalogueSummary:
    """Make a catalogue of the tenant from an archive that `export_catalogue` wrote.

    Args:
        context: the ports.
        tenant: whose catalogue it becomes.
        name: the name that it gets; the one in the archive does not count.
        file: the archive, open for reading, of a kind that can be sought.
        limits: what it may be.
        sleep: how to wait for a lease.
        encoders: specifications that its encoder may be one of; None where any may.

    Raises:
        InvalidInput: the name or the archive cannot be used; says what is wrong with it.
        AlreadyExists: the tenant has a catalogue of that name.
        QuotaExceeded: it would be beyond the tenant's quotas.
        Unavailable: an outside system does not answer.
    """
    checked_name(tenant, "tenant")
    checked_name(name)
    with suppress(CatalogueNotFound):
        context.registry.catalogue(tenant, name)
        raise AlreadyExists(f"there is a catalogue {name!r} already: import under another name", catalogue=name)
    with opened_archive(file, limits) as archive:
        check_allowed(archive.manifest.encoder, encoders)
        context.encoders.check(archive.manifest.encoder)
        whole = check_archive(archive, context.decoder)
        _build(context, tenant, name, archive, sleep, without_pictures=not whole)
    return show_catalogue(context, tenant, name)


def sweep_imports(context: Context) -> int:
    """Delete what imports whose process died have left; how many. Harmless at any time."""
    swept = 0
    for catalogue in context.registry.imports():
        lease, owner = import_lease(catalogue.id), f"{context.owner}:{uuid4()}"
        try:
            context.registry.take_lease(lease, owner, context.limits.job_lease_s)
        except LeaseHeld:
            continue
        remove_catalogue(context, catalogue)
        context.registry.release_lease(lease, owner)
        swept += 1
    return swept


def import_lease(catalogue_id: str) -> str:
    """Name of the lease that an import keeps while it builds."""
    return f"import:{catalogue_id}"


def _build(context: Context, tenant: str, name: str, archive: Archive, sleep: Sleep, *, without_pictures: bool) -> None:
    """Out of sight until `finish_import`; all or nothing."""
    catalogue_id = str(uuid4())
    once = replace(context, owner=f"{context.owner}:{catalogue_id}")
    manifest = archive.manifest
    # The lease comes before the row: the sweeper must never find one without the other while somebody builds.
    with kept_lease(once, import_lease(catalogue_id), context.limits.job_lease_s) as lease:
        if manifest.fingerprint is not None:
            context.store.open_collection(manifest.fingerprint.collection, manifest.fingerprint.dimension)
        catalogue = context.registry.open_import(
            catalogue_id,
            tenant,
            manifest.encoder,
            manifest.fingerprint,
            manifest.examples,
            without_pictures=without_pictures,
        )
        try:
            _fill(context, catalogue, archive, lease, sleep)
            context.blobs.flush()
            lease.check()
            context.registry.finish_import(catalogue_id, name, import_lease(catalogue_id), once.owner)
        except BaseException:
            _undo(context, catalogue)
            raise


def _undo(context: Context, catalogue: Catalogue) -> None:
    """Unless somebody else is at it already; what cannot be deleted now the sweeper deletes."""
    try:
        remove_catalogue(context, catalogue)
    except HolotypeError as error:
        logger.warning("what was imported into %s is left to the sweeper: %s", catalogue.name, error)


def _fill(context: Context, catalogue: Catalogue, archive: Archive, lease: KeptLease, sleep: Sleep) -> None:
    for examples, embeddings in parts_of(archive):
        lease.check()
        _add(context, catalogue, archive, examples, embeddings)
    if catalogue.fingerprint is None:
        return
    context.registry.put_prompts(catalogue.id, list(archived_prompts(archive)))
    context.registry.add_dropped(catalogue.id, [_dropped(catalogue, *one) for one in archived_dropped(archive)])
    if assign_open_splits(context, catalogue):  # of an ingest that was going on when the archive was written
        align_payloads(context, catalogue)
    ids = [_add_selection(context, catalogue, archive, number) for number in range(archive.manifest.selections)]
    if archive.manifest.active is not None:
        publish.activate_in(context, catalogue, ids[archive.manifest.active], sleep)
    for number, selection_id in enumerate(ids):
        if number != archive.manifest.active:
            context.registry.set_selection_state(selection_id, SelectionState.RETIRED)


def _add(
    context: Context,
    catalogue: Catalogue,
    archive: Archive,
    archived: Sequence[ArchivedExample],
    embeddings: Float32Array,
) -> None:
    """Rows, then bytes, then points."""
    examples = [_example(catalogue, one.example) for one in archived]
    for some in batches(examples):
        context.registry.add_examples(catalogue.id, some)
    context.registry.keep_findings(
        catalogue.id, {row.id: one.kept for row, one in zip(examples, archived, strict=True) if one.kept}
    )
    context.registry.add_relabellings(
        catalogue.id,
        {row.id: one.relabelled for row, one in zip(examples, archived, strict=True) if one.relabelled},
    )
    for one in archived:
        if one.image:
            context.blobs.put(image_key(catalogue.tenant, one.example.content_hash), picture_of(archive, one))
    stored = [
        StoredEmbedding(embedding, row.width_px, row.height_px, row.perceptual_hash)
        for row, embedding in zip(examples, embeddings, strict=True)
    ]
    digest = "" if catalogue.fingerprint is None else catalogue.fingerprint.digest
    for row, one_stored in zip(examples, stored, strict=True):
        context.blobs.put(embedding_key(catalogue.tenant, digest, row.picture), one_stored.to_bytes())
    points = [point_of(row, one_stored) for row, one_stored in zip(examples, stored, strict=True)]
    for points_of_a_call in batches(points):
        context.store.insert(partition_of(catalogue), points_of_a_call)
    central = {
        row.id: {"centrality": one.centrality}
        for row, one in zip(examples, archived, strict=True)
        if one.centrality is not None
    }
    for payloads in batches(list(central.items())):
        context.store.set_payload(partition_of(catalogue), dict(payloads))


def _example(catalogue: Catalogue, archived: Example) -> Example:
    return replace(
        archived, id=example_id_of(catalogue, archived.content_hash, archived.crop), catalogue_id=catalogue.id
    )


def _dropped(catalogue: Catalogue, content_hash: str, crop: str, labels: tuple[str, ...]) -> Dropped:
    return Dropped(example_id_of(catalogue, content_hash, crop), picture_name(content_hash, crop), labels)


def _add_selection(context: Context, catalogue: Catalogue, archive: Archive, number: int) -> str:
    """The id of the selection, which is in state WRITING."""
    selection_id, tenant = str(uuid4()), catalogue.tenant
    archived = selection_of(archive, number)
    members = [
        SelectionMember(
            example_id=example_id_of(catalogue, one.content_hash, one.crop),
            label=one.label,
            centrality=one.centrality,
            provisional=one.provisional,
        )
        for one in members_of(archive, number)
    ]
    chosen = members[: archived.chosen]
    references = ReferenceSet(
        tuple(one.example_id for one in chosen),
        tuple(one.label for one in chosen),
        projections_of(archive, number, archived),
    )
    head = head_of_archive(archive, number, archived)
    # The row before the blobs: what fails in between is then found by the selections of the catalogue and deleted.
    selection = replace(
        archived.selection,
        id=selection_id,
        catalogue_id=catalogue.id,
        head_blob=None if head is None else head_key(tenant, selection_id),
        fingerprint_digest="" if catalogue.fingerprint is None else catalogue.fingerprint.digest,
    )
    context.registry.open_selection(selection, members)
    if head is not None:
        context.blobs.put(head_key(tenant, selection_id), head.to_bytes())
    context.blobs.put(references_key(tenant, selection_id), references.to_bytes())
    report = renamed(
        report_of(archive, number).whole_object, lambda name: example_id_of(catalogue, *hash_and_crop(name))
    )
    context.blobs.put(report_key(tenant, selection_id), encoded(report))
    return selection_id
