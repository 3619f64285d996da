"""How a server is."""

from __future__ import annotations

from service.client.models.base import Answer


class Ready(Answer):
    """Whether requests can be answered; `parts` are "ok" or "down" by name."""

    status: str
    parts: dict[str, str]

    @property
    def ready(self) -> bool:
        """Is nothing down?"""
        return self.status == "ready"
