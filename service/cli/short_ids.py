"""Ids of examples as people type them: the first characters, where no other example's id starts so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.cli.backend import Backend
from service.errors import InvalidInput, quoted

SHORTEST: Final = 8
"""Characters; fewer are taken for a whole id that is wrong."""
WHOLE: Final = 36
MOST_NAMED = 5


def whole_ids(backend: Backend, name: str, given: Sequence[str]) -> list[str]:
    """The ids that are meant; what is no beginning of one is returned as it is, for the command to refuse.

    Examples are listed only where one of those given is short of a whole id.

    Raises:
        CatalogueNotFound: there is none.
        InvalidInput: several ids start like one of those given.
    """
    if not any(SHORTEST <= len(one) < WHOLE for one in given):
        return list(given)
    there = backend.example_ids(name)
    return [_whole(there, one) for one in given]


def _whole(there: Sequence[str], given: str) -> str:
    meant = sorted(one for one in there if one.startswith(given)) if SHORTEST <= len(given) < WHOLE else []
    if len(meant) > 1:
        named = ", ".join(meant[:MOST_NAMED])
        more = f" and {len(meant) - MOST_NAMED} more" if len(meant) > MOST_NAMED else ""
        raise InvalidInput(f"{len(meant)} examples' ids start with {quoted(given)}: {named}{more}", examples=meant)
    return meant[0] if meant else given
