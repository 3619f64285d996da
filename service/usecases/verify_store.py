"""Do rows, points, bytes, flags and hashes agree, over all tenants? And mend what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.errors import CatalogueNotFound
from service.records import Catalogue, ExampleState
from service.usecases.context import Context, OnProgress
from service.usecases.needed_blobs import FOLDERS, needed_blobs
from service.usecases.splitting import batches
from service.usecases.store_comparison import compare
from service.usecases.store_findings import Finding, Findings, StoreFinding
from service.usecases.store_repair import repair


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """What was looked at, what was found, and what of it is left.

    Attributes:
        tenants, catalogues, examples: how many were looked at.
        found: what was wrong.
        left: what still is; the same as `found` where nothing was to be repaired.
    """

    tenants: int
    catalogues: int
    examples: int
    found: tuple[Finding, ...]
    left: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {
            "tenants": self.tenants,
            "catalogues": self.catalogues,
            "examples": self.examples,
            "found": [one.as_dict() for one in self.found],
            "left": [one.as_dict() for one in self.left],
        }


def verify_store(
    context: Context, *, mend: bool, alone: bool, on_progress: OnProgress = lambda *_: None
) -> StoreReport:
    """Compare everything, once; with `mend` repair and compare again what was wrong.

    Args:
        context: the ports.
        mend: repair what can be repaired.
        alone: nobody else works on these data. Only then bytes that nothing needs are told, and deleted with `mend`:
            pictures are written before the row that names them.
        on_progress: called with the catalogue's name, examples looked at and those there are.

    Raises:
        Unavailable: an outside system does not answer.
    """
    examples = 0
    found: list[Finding] = []
    left: list[Finding] = []
    catalogues = context.registry.all_catalogues()
    for catalogue in catalogues:
        examples += _size(context, catalogue)
        first, second = _one(context, catalogue, on_progress, mend=mend)
        found += first
        left += second
    tenants = sorted({one.name for one in context.registry.tenants()} | {one.tenant for one in catalogues})
    for tenant in tenants if alone else ():
        strays = _strays(context, tenant)
        found += strays.all()
        if mend:
            for keys in batches(strays.of(StoreFinding.STRAY_BYTES)):
                context.blobs.delete(keys)
            strays = _strays(context, tenant)
        left += strays.all()
    return StoreReport(
        tenants=len(tenants), catalogues=len(catalogues), examples=examples, found=tuple(found), left=tuple(left)
    )


def _one(
    context: Context, catalogue: Catalogue, on_progress: OnProgress, *, mend: bool
) -> tuple[list[Finding], list[Finding]]:
    """What is wrong with a catalogue, and what is left of it; nothing for one that is deleted meanwhile."""
    told = _told(catalogue, _size(context, catalogue), on_progress)
    try:
        found = compare(context, catalogue, told)
        if not mend or not found.all():
            return found.all(), found.all()
        repair(context, catalogue, found)
        return found.all(), compare(context, catalogue).all()
    except CatalogueNotFound:
        return [], []


def _told(catalogue: Catalogue, total: int, on_progress: OnProgress) -> Callable[[int], None]:
    return lambda done: on_progress(catalogue.name, min(done, total), total)


def _size(context: Context, catalogue: Catalogue) -> int:
    in_conflict = context.registry.examples(catalogue.id, state=ExampleState.CONFLICT)
    return len(context.registry.example_labels(catalogue.id)) + len(in_conflict)


def _strays(context: Context, tenant: str) -> Findings:
    """Keys of the tenant that nothing needs. Needed keys come after the listing: what is new is none."""
    held = [key for folder in FOLDERS for key in context.blobs.keys(f"{tenant}/{folder}/")]
    catalogues = [*context.registry.catalogues(tenant)]
    catalogues += [one for one in context.registry.imports() if one.tenant == tenant]
    needed = {one.key for catalogue in catalogues for one in needed_blobs(context.registry, catalogue)}
    found = Findings(tenant, "")
    found.add(StoreFinding.STRAY_BYTES, (key for key in held if key not in needed))
    return found
