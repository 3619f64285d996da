"""Pictures that are named by URLs: checked when they are handed over, fetched by the worker that embeds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.errors import InvalidInput, NotPermitted
from service.ports import PictureFetcher
from service.usecases.context import Context
from service.usecases.crops import BOX, KEEP_ASPECT, wanted_of
from service.usecases.handing_over import Picture
from service.usecases.labels import checked_label
from service.usecases.manifests import SPLITS
from service.usecases.metadata import checked_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPicture:
    """A picture by URL, with what is said of it; `split` is "auto" or a split's name.

    `box` is x, y, width, height in pixels of the upright picture, where only that part counts.
    """

    url: str
    label: str | None = None
    split: str = "auto"
    box: Sequence[float] | None = None
    keep_aspect: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


def fetcher_of(context: Context) -> PictureFetcher:
    """What fetches. Raises NotPermitted where that is switched off."""
    if context.fetcher is None:
        raise NotPermitted(
            "pictures by URL are switched off here: HOLOTYPE_URL_INGEST=true switches them on for the service and its "
            "workers; or send the files themselves",
            setting="HOLOTYPE_URL_INGEST",
        )
    return context.fetcher


def by_url(context: Context, named: Sequence[NamedPicture], *, labels: bool) -> list[Picture]:
    """Pictures to be fetched; one whose URL, label or metadata cannot be used is a failed one that says why.

    Raises NotPermitted where fetching is switched off.
    """
    fetcher = fetcher_of(context)
    return [_picture(fetcher, one, labels=labels) for one in named]


def _picture(fetcher: PictureFetcher, one: NamedPicture, *, labels: bool) -> Picture:
    label, crop, failure = "", "", None
    metadata: Mapping[str, str] = {}
    try:
        fetcher.check(one.url)
        if labels:
            label = checked_label(one.label or "")
        metadata = checked_metadata(one.metadata)
        crop = wanted_of({BOX: None if one.box is None else list(one.box), KEEP_ASPECT: one.keep_aspect}).crop
    except InvalidInput as error:
        failure = error.message
    return Picture(source=one.url, label=label, split=SPLITS[one.split], metadata=metadata, failure=failure, crop=crop)
