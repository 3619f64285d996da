"""Pictures of examples: as they were handed over, and small."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Response

from service.api.access import ContextOf, Reader, scoped_router
from service.api.etags import IfNoneMatch, held
from service.api.routes.catalogues import CatalogueName
from service.api.routes.examples import ExampleId
from service.usecases import pictures
from service.usecases.context import THUMBNAIL_EDGES_PX
from service.usecases.pictures import JPEG, PNG, WEBP, Picture

router = scoped_router("examples")

ASK_AGAIN = "private, no-cache"
"""Kept, and asked about before it is shown again: a dropped picture is gone at once."""
KEPT = "private, max-age=31536000, immutable"
"""An example's id is made from its picture's content: the picture under it never changes."""


def _answers(*media_types: str) -> dict[int | str, dict[str, Any]]:
    schema = {"schema": {"type": "string", "format": "binary"}}
    content = dict.fromkeys(media_types, schema)
    return {
        200: {"description": "The picture.", "content": content},
        304: {"description": "You have it: an ETag of yours fits."},
    }


def _answer(picture: Picture, caching: str) -> Response:
    headers = {
        "ETag": f'"{picture.tag}"',
        "Cache-Control": caching,
        "Vary": "Authorization, Cookie",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(picture.file_name, safe='', errors='replace')}",
    }
    if picture.data is None:
        return Response(status_code=304, headers=headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)


@router.get(
    "/catalogues/{catalogue}/examples/{example}/image", response_class=Response, responses=_answers(JPEG, PNG, WEBP)
)
def example_image(
    name: CatalogueName, example_id: ExampleId, who: Reader, context: ContextOf, if_none_match: IfNoneMatch = None
) -> Response:
    """The picture's bytes as they were handed over."""
    return _answer(pictures.original(context, who.tenant, name, example_id, held(if_none_match)), ASK_AGAIN)


@router.get("/catalogues/{catalogue}/examples/{example}/thumbnail", response_class=Response, responses=_answers(JPEG))
def example_thumbnail(
    name: CatalogueName,
    example_id: ExampleId,
    who: Reader,
    context: ContextOf,
    edge_px: Annotated[
        int,
        Query(
            ge=THUMBNAIL_EDGES_PX[0],
            le=THUMBNAIL_EDGES_PX[-1],
            description=f"Longer edge, pixels; the next of {', '.join(map(str, THUMBNAIL_EDGES_PX))} is sent.",
        ),
    ] = 160,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A small JPEG of the picture: upright, transparency on white, without the metadata of the file."""
    return _answer(pictures.thumbnail(context, who.tenant, name, example_id, edge_px, held(if_none_match)), KEPT)
