"""What is worked out from a catalogue's examples and kept, so that it is not worked out at every look: maps, surveys.

It may be thrown away at any time. Nothing of a dropped example stays in it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from service.errors import NotFound
from service.records import Catalogue
from service.usecases.context import Context


def derived_prefix(catalogue: Catalogue) -> str:
    """What the blob keys of everything of the kind start with."""
    return f"{catalogue.tenant}/derived/{catalogue.id}/"


def map_key(catalogue: Catalogue, digest: str) -> str:
    """Blob key of a map; `digest` says of what."""
    return f"{derived_prefix(catalogue)}map-{digest}.npz"


def survey_key(catalogue: Catalogue) -> str:
    """Blob key of the latest survey."""
    return f"{derived_prefix(catalogue)}survey.json"


def map_keys(context: Context, catalogue: Catalogue) -> list[str]:
    """Blob keys of the maps that are kept. Raises Unavailable."""
    return context.blobs.keys(f"{derived_prefix(catalogue)}map-")


def kept_survey(context: Context, catalogue: Catalogue) -> dict[str, Any] | None:
    """The latest survey, None where there is none. Raises Unavailable."""
    with suppress(NotFound):
        survey: dict[str, Any] = json.loads(context.blobs.get(survey_key(catalogue)))
        return survey
    return None


def keep_survey(context: Context, catalogue: Catalogue, survey: Mapping[str, Any]) -> None:
    """Raises Unavailable."""
    context.blobs.put(survey_key(catalogue), json.dumps(survey).encode())


def forget_derived(context: Context, catalogue: Catalogue) -> None:
    """Throw all of it away. Raises Unavailable."""
    context.blobs.delete(context.blobs.keys(derived_prefix(catalogue)))


def forget_examples(context: Context, catalogue: Catalogue, example_ids: Collection[str]) -> None:
    """Maps go, and the survey loses every finding that shows one of the examples. Raises Unavailable."""
    context.blobs.delete(map_keys(context, catalogue))
    survey = kept_survey(context, catalogue)
    if survey is None:
        return
    gone = set(example_ids)
    survey["findings"] = [one for one in survey["findings"] if gone.isdisjoint(shown_ids(one))]
    survey["unreadable"] = [one for one in survey["unreadable"] if one not in gone]
    keep_survey(context, catalogue, survey)


def shown_ids(finding: Mapping[str, Any]) -> list[str]:
    """Ids of the examples that a finding, as JSON, shows."""
    one = finding["example"]
    return [*([] if one is None else [one["id"]]), *(other["id"] for other in finding["others"])]
