"""The backend that does the work here: each method opens the wired ports and calls a use case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from service.cli.backend import NamedBytes, OnProgress, Value
from service.errors import TenantNotFound

if TYPE_CHECKING:
    from service.cli.checks import Check
    from service.cli.session import Session

EXAMPLE_COLUMNS = ("id", "label", "split", "state", "source")


class LocalBackend:
    """Implements `Backend` on this machine's data directory, or on the servers that the settings name."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def tenant(self) -> str:
        return self._session.tenant

    def close(self) -> None:
        """Every method has let go already."""

    def create_catalogue(self, name: str, encoder: str | None) -> Value:
        from service.usecases.catalogues import create_catalogue, show_catalogue

        with self._session.open() as context:
            create_catalogue(context, self.tenant(), name, encoder or self._session.settings.encoder)
            return show_catalogue(context, self.tenant(), name).as_dict()

    def list_catalogues(self) -> list[Value]:
        from service.settings import DEFAULT_TENANT
        from service.usecases.catalogues import list_catalogues
        from service.usecases.tenants import list_tenants

        with self._session.open() as context:
            try:
                return [summary.as_dict() for summary in list_catalogues(context, self.tenant())]
            except TenantNotFound as error:
                if self.tenant() == DEFAULT_TENANT:  # nobody has stored anything yet
                    return []
                told = _what_makes_it(self.tenant(), [one.name for one in list_tenants(context)])
                raise TenantNotFound(f"{error.message}: {told}", **error.details) from None

    def show_catalogue(self, name: str) -> Value:
        from service.usecases.catalogues import show_catalogue

        with self._session.open() as context:
            return show_catalogue(context, self.tenant(), name).as_dict()

    def delete_catalogue(self, name: str) -> None:
        from service.usecases.catalogues import delete_catalogue

        with self._session.open() as context:
            delete_catalogue(context, self.tenant(), name)

    def export_archive(self, name: str, file: IO[bytes], *, images: bool) -> int:
        from service.usecases.archive_export import export_catalogue

        with self._session.open() as context:
            return sum(map(file.write, export_catalogue(context, self.tenant(), name, images=images)))

    def import_archive(self, name: str, file: Path) -> Value:
        from service.usecases.archive_import import import_catalogue, sweep_imports
        from service.usecases.archive_reading import ArchiveLimits

        limits = ArchiveLimits(self._session.settings.import_mb * 1024**2)
        with self._session.open() as context, file.open("rb") as opened:
            sweep_imports(context)
            return import_catalogue(context, self.tenant(), name, opened, limits).as_dict()

    def ingest(self, name: str, path: Path, *, split: str, label: str | None, on_progress: OnProgress) -> Value:
        from service.usecases.ingest import ingest_report, start_ingest
        from service.usecases.jobs import wait_for_job

        with self._session.working() as context:
            job = start_ingest(
                context,
                self.tenant(),
                name,
                path,
                split=split,
                label=label,
                encoder=self._session.settings.encoder,
                on_progress=on_progress,
            )
            wait_for_job(context, job.id, on_progress)
            return ingest_report(context, job.id)

    def optimise(self, name: str, request: Mapping[str, Any], on_progress: OnProgress) -> Value:
        from service.usecases.jobs import wait_for_job
        from service.usecases.optimise import start_optimise
        from service.usecases.optimise_request import OptimiseRequest

        with self._session.working() as context:
            job = start_optimise(context, self.tenant(), name, OptimiseRequest.from_dict(request))
            return dict(wait_for_job(context, job.id, on_progress).result or {})

    def selections(self, name: str) -> list[Value]:
        from service.usecases.selections import list_selections

        with self._session.open() as context:
            return [selection.as_dict() for selection in list_selections(context, self.tenant(), name)]

    def activate(self, name: str, selection: str) -> Value:
        from service.usecases.publish import activate

        with self._session.open() as context:
            return activate(context, self.tenant(), name, selection).as_dict()

    def classify(
        self, name: str, batches: Iterable[Sequence[NamedBytes]], *, top: int, max_error: float | None
    ) -> Iterator[list[Value]]:
        from service.usecases.classify import Resolver, classify

        with self._session.open() as context:
            resolver = Resolver(context)
            for pictures in batches:
                found = classify(
                    context, self.tenant(), name, pictures, top=top, max_error=max_error, resolver=resolver
                )
                yield [one.as_dict() for one in found]

    def evaluate(
        self, name: str, folder: Path | None, *, max_error: float | None, html: Path | None, on_progress: OnProgress
    ) -> Value:
        from service.bootstrap import report_writer
        from service.usecases.evaluate import evaluate_folder, report_data, stored_evaluation

        with self._session.open() as context:
            if folder is None:
                evaluation = stored_evaluation(context, self.tenant(), name, max_error)
            else:
                evaluation = evaluate_folder(context, self.tenant(), name, folder, on_progress, max_error=max_error)
            if html is not None:
                report_writer().write(report_data(context, self.tenant(), name, evaluation), html)
        return evaluation

    def verify(self, name: str, first: NamedBytes, second: NamedBytes | None, *, label: str | None, rule: str) -> Value:
        from service.usecases.verify import verify_label, verify_pictures

        known = cast("Literal['otsu', 'eer']", rule)
        with self._session.open() as context:
            if second is not None:
                return verify_pictures(context, self.tenant(), name, first, second, known)
            return verify_label(context, self.tenant(), name, first, str(label), known)

    def search(
        self,
        name: str,
        *,
        image: NamedBytes | None,
        text: str | None,
        top: int,
        label: str | None,
        split: str | None,
    ) -> list[Value]:
        from service.records import Split
        from service.usecases.lookup import search_by_image, search_by_text

        wanted = None if split is None else Split(split)
        with self._session.open() as context:
            if image is not None:
                found = search_by_image(context, self.tenant(), name, image[1], top=top, label=label, split=wanted)
            else:
                found = search_by_text(context, self.tenant(), name, text or "", top=top, label=label, split=wanted)
        return [one.as_dict() for one in found]

    def suggest_next(self, name: str, folder: Path, count: int, on_progress: OnProgress) -> list[Value]:
        from service.usecases.suggesting import suggest_next

        with self._session.open() as context:
            return [one.as_dict() for one in suggest_next(context, self.tenant(), name, folder, count, on_progress)]

    def preview(self, name: str, label: str, pictures: Sequence[NamedBytes]) -> Value:
        from service.usecases.preview import preview_class

        with self._session.open() as context:
            return preview_class(context, self.tenant(), name, label, pictures).as_dict()

    def describe(self, name: str, label: str, templates: Sequence[str]) -> Value:
        from service.usecases.describing import as_dict, describe

        with self._session.open() as context:
            return as_dict(describe(context, self.tenant(), name, label, templates))

    def descriptions(self, name: str) -> list[Value]:
        from service.usecases.describing import as_dict, descriptions

        with self._session.open() as context:
            return [as_dict(one) for one in descriptions(context, self.tenant(), name)]

    def forget_description(self, name: str, label: str) -> None:
        from service.usecases.describing import forget_description

        with self._session.open() as context:
            forget_description(context, self.tenant(), name, label)

    def hygiene(self, name: str, on_progress: OnProgress) -> Value:
        from service.usecases.hygiene import survey_hygiene

        with self._session.open() as context:
            return survey_hygiene(context, self.tenant(), name, on_progress).as_dict()

    def example_ids(self, name: str) -> list[str]:
        from service.usecases.dropped import known_ids

        with self._session.open() as context:
            return known_ids(context, self.tenant(), name)

    def keep(self, name: str, examples: Sequence[str]) -> Value:
        from service.usecases.hygiene import keep

        with self._session.open() as context:
            kept = keep(context, self.tenant(), name, examples)
        return {"kept": dict(kept.kinds), "taken_back": list(kept.taken_back)}

    def relabel(self, name: str, example: str, label: str) -> Value:
        from service.usecases.decide import relabel
        from service.usecases.new_class import new_class

        with self._session.open() as context:
            close = new_class(context, self.tenant(), name, label)
            changed = relabel(context, self.tenant(), name, example, label)
        told = {column: getattr(changed, column) for column in EXAMPLE_COLUMNS}
        return {**told, "new_class": close is not None, "close": list(close or ())}

    def drop(self, name: str, examples: Sequence[str]) -> list[str]:
        from service.usecases.decide import drop

        with self._session.open() as context:
            return drop(context, self.tenant(), name, examples, remember=True)

    def dropped(self, name: str) -> list[Value]:
        from service.usecases.dropped import as_dict, list_dropped

        with self._session.open() as context:
            return [as_dict(one) for one in list_dropped(context, self.tenant(), name)]

    def checks(self, *, quick: bool) -> list[Check]:
        from service.cli.checks import run_checks

        return run_checks(self._session, quick=quick)


def _what_makes_it(tenant: str, there: Sequence[str]) -> str:
    """What to do about a tenant that is not there: nothing was ever stored for it, or it is spelt otherwise."""
    near = ", ".join(repr(one) for one in get_close_matches(tenant, there))
    return (
        "the first `holotype ingest` or `holotype catalogue create` for it makes it; or is it misspelt in --tenant "
        f"(HOLOTYPE_TENANT)?{near and f' There is {near}'}"
    )
