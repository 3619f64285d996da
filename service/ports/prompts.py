"""The registry: prompts, the words that classes start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.records import ClassPrompts


class PromptRegistry(Protocol):
    """A class's prompts by catalogue and label. They need no example: a class may stand on words alone."""

    def put_prompts(self, catalogue_id: str, prompts: Sequence[ClassPrompts]) -> None:
        """Each replaces what its label had. Raises CatalogueNotFound when the catalogue is gone."""
        ...

    def delete_prompts(self, catalogue_id: str, label: str) -> bool:
        """Was there any?"""
        ...

    def rename_prompts(self, catalogue_id: str, label: str, new: str) -> None:
        """The label's prompts under another one, unless that has prompts of its own: then they are dropped."""
        ...

    def prompts(self, catalogue_id: str) -> list[ClassPrompts]:
        """By label."""
        ...

    def prompts_version(self, catalogue_id: str) -> str:
        """Another one whenever `prompts` would answer something else; "" while there are none."""
        ...
