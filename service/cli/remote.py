"""The backend that asks a server: each method is a request or two of the client, answered in the same shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from service.cli.backend import NamedBytes, OnProgress, Value
from service.cli.remote_files import HandedOver, read, read_or_empty, refuse_too_many
from service.client import Holotype, Upload
from service.errors import CatalogueNotFound, InvalidInput

if TYPE_CHECKING:
    from service.cli.checks import Check
    from service.client.models.catalogues import FindingExample
    from service.client.models.selections import SelectionDetail
    from service.settings import Settings

EXAMPLE_COLUMNS = ("id", "label", "split", "state", "source")
MOST_DROPPED = 1000
MOST_LISTED = 500
OF_THE_REQUEST = " of the request "
"""How a server calls where pictures came from that were judged."""


class RemoteBackend:
    """Implements `Backend` on the server that HOLOTYPE_URL names, for the tenant of HOLOTYPE_KEY."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        key = settings.key
        self._client = Holotype(settings.url or "", key.get_secret_value() if key else None)

    def tenant(self) -> str:
        return self._client.me().tenant

    def close(self) -> None:
        self._client.close()

    def create_catalogue(self, name: str, encoder: str | None) -> Value:
        return self._client.create_catalogue(name, encoder).as_dict()

    def list_catalogues(self) -> list[Value]:
        return [one.as_dict() for one in self._client.each(Holotype.list_catalogues)]

    def show_catalogue(self, name: str) -> Value:
        return self._client.show_catalogue(name).as_dict()

    def delete_catalogue(self, name: str) -> None:
        self._client.delete_catalogue(name)

    def export_archive(self, name: str, file: IO[bytes], *, images: bool) -> int:
        return self._client.export_archive(name, file, images=images)

    def import_archive(self, name: str, file: Path) -> Value:
        return self._client.import_archive(name, file).as_dict()

    def ingest(self, name: str, path: Path, *, split: str, label: str | None, on_progress: OnProgress) -> Value:
        from service.usecases.ingest import sources_to_ingest

        handed = HandedOver(sources_to_ingest(path, split, label), on_progress)
        try:
            self._client.show_catalogue(name)
        except CatalogueNotFound:
            self._client.create_catalogue(name)
        job = self._client.upload(Upload(name=name), handed.pictures())
        report = dict(self._client.wait(job.id, on_progress).result or {})
        report["failed"] += len(handed.failures)
        report["errors"] = [*report["errors"], *handed.failures]
        return report

    def optimise(self, name: str, request: Mapping[str, Any], on_progress: OnProgress) -> Value:
        from service.usecases.optimise_request import OptimiseRequest

        OptimiseRequest.from_dict(request)  # refused in the same words
        job = self._client.optimise(name, request)
        return dict(self._client.wait(job.id, on_progress).result or {})

    def selections(self, name: str) -> list[Value]:
        found = self._client.each(Holotype.list_selections, name)
        return [self._selection(name, one.id) for one in found]

    def activate(self, name: str, selection: str) -> Value:
        self._client.activate_selection(name, selection)
        return self._selection(name, selection)

    def _selection(self, name: str, selection: str) -> Value:
        return _summary(self._client.show_selection(name, selection))

    def classify(
        self, name: str, batches: Iterable[Sequence[NamedBytes]], *, top: int, max_error: float | None
    ) -> Iterator[list[Value]]:
        for pictures in batches:
            if not pictures:
                self._client.show_catalogue(name)  # that there is none is told, too
                yield []
                continue
            answers = self._client.classify(name, pictures, top=top, max_error=max_error)
            yield [_answer(path, one.as_dict()) for (path, _), one in zip(pictures, answers, strict=True)]

    def evaluate(
        self, name: str, folder: Path | None, *, max_error: float | None, html: Path | None, on_progress: OnProgress
    ) -> Value:
        report = html is not None
        if folder is None:
            value = self._client.stored_evaluation(name, max_error, report=report).as_dict()
        else:
            value = self._judged(name, folder, max_error, on_progress, report=report)
        page = value.pop("report", None)
        if html is not None:
            html.write_text(str(page), encoding="utf-8")
        return value

    def _judged(
        self, name: str, folder: Path, max_error: float | None, on_progress: OnProgress, *, report: bool
    ) -> Value:
        from service.usecases.evaluate import sources_to_judge

        self._client.show_catalogue(name)
        sources = sources_to_judge(folder)
        refuse_too_many(len(sources), "judged")
        on_progress("evaluate", 0, len(sources))
        pictures = [(source.label, source.name, read_or_empty(source)) for source in sources]
        value = self._client.evaluate(name, pictures, max_error, report=report).as_dict()
        on_progress("evaluate", len(sources), len(sources))
        for key in ("measured_on", "panel_measured_on"):
            value[key] = value[key].replace(OF_THE_REQUEST, f" of {folder} ", 1)
        if report:
            value["report"] = value["report"].replace(OF_THE_REQUEST, f" of {escape(str(folder))} ")
        return value

    def verify(self, name: str, first: NamedBytes, second: NamedBytes | None, *, label: str | None, rule: str) -> Value:
        return self._client.verify(name, first, second, label=label, rule=rule).as_dict()

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
        found = self._client.search(name, image, text=text, top=top, label=label, split=split)
        return [_without(one.as_dict(), "thumbnail") for one in found]

    def suggest_next(self, name: str, folder: Path, count: int, on_progress: OnProgress) -> list[Value]:
        from service.usecases.sources import find_pictures

        self._client.show_catalogue(name)
        if not folder.is_dir():
            raise InvalidInput(f"{folder} is not a folder: give one that holds unlabelled pictures")
        sources = list(find_pictures(folder))
        refuse_too_many(len(sources), "put in order")
        refused: list[Value] = []
        pictures: list[NamedBytes] = []
        for source in sources:
            try:
                pictures.append((source.name, read(source)))
            except InvalidInput as error:
                refused.append({"path": source.name, "error": error.message})
        on_progress("looking", 0, len(sources))
        found = [one.as_dict() for one in self._client.suggest_next(name, pictures, count)] if pictures else []
        on_progress("looking", len(sources), len(sources))
        return [*found, *refused]

    def preview(self, name: str, label: str, pictures: Sequence[NamedBytes]) -> Value:
        value = self._client.preview(name, label, pictures).as_dict()
        named = zip(value["pictures"], pictures, strict=True)
        return {**value, "pictures": [_answer(path, one) for one, (path, _) in named]}

    def describe(self, name: str, label: str, templates: Sequence[str]) -> Value:
        return self._client.put_prompts(name, label, templates).as_dict()

    def descriptions(self, name: str) -> list[Value]:
        return [one.as_dict() for one in self._client.each(Holotype.list_prompts, name)]

    def forget_description(self, name: str, label: str) -> None:
        self._client.delete_prompts(name, label)

    def hygiene(self, name: str, on_progress: OnProgress) -> Value:
        on_progress("looking", 0, 0)
        found = self._client.hygiene(name, renew=True)
        findings: list[Value] = []
        for kind, count in found.counts.items():
            some = self._client.hygiene(name, kind=kind).findings if count else []
            findings += [_finding(one.as_dict()) for one in some]
        return {
            "examples": found.examples,
            "counts": found.counts,
            "findings": findings,
            "accepted": found.accepted,
            "unreadable": found.unreadable,
        }

    def example_ids(self, name: str) -> list[str]:
        there = [one.id for one in self._client.each(Holotype.list_examples, name, limit=MOST_LISTED)]
        return there + [one.id for one in self._client.each(Holotype.list_dropped, name, limit=MOST_LISTED)]

    def keep(self, name: str, examples: Sequence[str]) -> Value:
        decided = {example: self._client.decide(name, example, "keep") for example in dict.fromkeys(examples)}
        return {
            "kept": {example: one.kept for example, one in decided.items() if not one.taken_back},
            "taken_back": [example for example, one in decided.items() if one.taken_back],
        }

    def relabel(self, name: str, example: str, label: str) -> Value:
        changed = self._client.relabel_example(name, example, label).as_dict()
        return {column: changed[column] for column in (*EXAMPLE_COLUMNS, "new_class", "close")}

    def drop(self, name: str, examples: Sequence[str]) -> list[str]:
        dropped: list[str] = []
        for start in range(0, len(examples), MOST_DROPPED):
            dropped += self._client.drop_examples(name, examples[start : start + MOST_DROPPED], remember=True)
        return dropped

    def dropped(self, name: str) -> list[Value]:
        return [one.as_dict() for one in self._client.each(Holotype.list_dropped, name)]

    def checks(self, *, quick: bool) -> list[Check]:  # noqa: ARG002  no encoder is loaded here, quick or not
        from service.cli.remote_checks import server_checks

        return server_checks(self._client, self._settings)


def _summary(one: SelectionDetail) -> Value:
    """As `holotype selections` has it."""
    return {
        "selection": one.id,
        "activated": one.active,
        "state": one.state,
        "why": one.why,
        "references": one.references,
        "head": one.head,
        "strategy": one.strategy,
        "recipe": one.recipe,
        "seed": one.seed,
        "created_at": one.created_at,
        "figures": one.figures,
        "measured_on": one.measured_on,
    }


def _answer(path: str, answer: Value) -> Value:
    """Under the name that it has here, and without links that only a browser follows."""
    neighbours = [_without(one, "thumbnail") for one in answer.get("neighbours", ())]
    return {**answer, "path": path, **({"neighbours": neighbours} if "neighbours" in answer else {})}


def _finding(finding: Value) -> Value:
    example: FindingExample | Value | None = finding["example"]
    bare = None if example is None else _without(finding["example"], "example", "thumbnail")
    others = [_without(one, "example", "thumbnail") for one in finding["others"]]
    return {**finding, "example": bare, "others": others}


def _without(value: Value, *names: str) -> Value:
    return {key: item for key, item in value.items() if key not in names}
