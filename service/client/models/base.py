"""What all answers have in common."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Answer(BaseModel):
    """A server's answer. Members that a newer server adds are kept, under their own names."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form, as the server sent it."""
        return self.model_dump(mode="json", by_alias=True)


class Page(Answer, Generic[T]):
    """Rows of a list; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


class Items(Answer, Generic[T]):
    """Rows of a list that is whole."""

    items: list[T]
