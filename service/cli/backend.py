"""Who does what a command asks: this process, or a server. Commands are written once, against this protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from service.cli.checks import Check

Value = dict[str, Any]
"""A JSON object, as `--json` prints it."""
NamedBytes = tuple[str, bytes]
"""A picture: what answers call it, and its bytes."""
OnProgress = Callable[[str, int, int], None]
"""Called with the stage's name, what is done and the total."""


class Backend(Protocol):
    """What commands can ask. Every method raises the errors of `service.errors`, whoever does the work."""

    def tenant(self) -> str:
        """Whose catalogues these are."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...

    def create_catalogue(self, name: str, encoder: str | None) -> Value:
        """A new catalogue; without an encoder on the default one."""
        ...

    def list_catalogues(self) -> list[Value]:
        """All catalogues of the tenant, by name."""
        ...

    def show_catalogue(self, name: str) -> Value:
        """One catalogue, and what it holds."""
        ...

    def delete_catalogue(self, name: str) -> None:
        """Delete it for good."""
        ...

    def export_archive(self, name: str, file: IO[bytes], *, images: bool) -> int:
        """Write the catalogue's archive; its bytes."""
        ...

    def import_archive(self, name: str, file: Path) -> Value:
        """The new catalogue."""
        ...

    def ingest(self, name: str, path: Path, *, split: str, label: str | None, on_progress: OnProgress) -> Value:
        """Store labelled pictures; the report of the finished job."""
        ...

    def optimise(self, name: str, request: Mapping[str, Any], on_progress: OnProgress) -> Value:
        """Choose references as `OptimiseRequest` says; the selection that came of it."""
        ...

    def selections(self, name: str) -> list[Value]:
        """All selections, newest first."""
        ...

    def activate(self, name: str, selection: str) -> Value:
        """Let a selection serve."""
        ...

    def classify(
        self, name: str, batches: Iterable[Sequence[NamedBytes]], *, top: int, max_error: float | None
    ) -> Iterator[list[Value]]:
        """Answers, a list for each batch of pictures, which are read as they are worked on."""
        ...

    def evaluate(
        self, name: str, folder: Path | None, *, max_error: float | None, html: Path | None, on_progress: OnProgress
    ) -> Value:
        """The stored figures, or those on the folder's pictures; with `html` the report is written there, too."""
        ...

    def verify(self, name: str, first: NamedBytes, second: NamedBytes | None, *, label: str | None, rule: str) -> Value:
        """Are two pictures of one class, or is one of the class `label`?"""
        ...

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
        """Examples nearest to the picture, or to the text where there is none."""
        ...

    def suggest_next(self, name: str, folder: Path, count: int, on_progress: OnProgress) -> list[Value]:
        """Pictures of the folder whose label would help most, then those that cannot be used."""
        ...

    def preview(self, name: str, label: str, pictures: Sequence[NamedBytes]) -> Value:
        """What a new class would be confused with."""
        ...

    def describe(self, name: str, label: str, templates: Sequence[str]) -> Value:
        """Let a class start from words; its prompts."""
        ...

    def descriptions(self, name: str) -> list[Value]:
        """The prompts of all classes that have some, by label."""
        ...

    def forget_description(self, name: str, label: str) -> None:
        """Take a class's words away."""
        ...

    def hygiene(self, name: str, on_progress: OnProgress) -> Value:
        """What may be wrong with the catalogue."""
        ...

    def example_ids(self, name: str) -> list[str]:
        """Ids of all examples, dropped ones too."""
        ...

    def keep(self, name: str, examples: Sequence[str]) -> Value:
        """Accept what is found about examples, take back what was dropped: `{kept: {id: [kind]}, taken_back: [id]}`."""
        ...

    def relabel(self, name: str, example: str, label: str) -> Value:
        """Give an example its label; the example."""
        ...

    def drop(self, name: str, examples: Sequence[str]) -> list[str]:
        """Take examples out, and keep them out; their ids."""
        ...

    def dropped(self, name: str) -> list[Value]:
        """The pictures that are kept out, by id."""
        ...

    def checks(self, *, quick: bool) -> list[Check]:
        """What `doctor` finds. `quick` loads no encoder."""
        ...
