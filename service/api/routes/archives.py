"""A whole catalogue as one archive: out as a stream, in as a new catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from service.api.access import ContextOf, Reader, SettingsOf, Writer, scoped_router
from service.api.problems import responses
from service.api.routes.catalogues import Catalogue, CatalogueName, shown_catalogue
from service.errors import InvalidInput
from service.usecases.archive_export import export_catalogue
from service.usecases.archive_import import import_catalogue
from service.usecases.archive_reading import ArchiveLimits

router = scoped_router("archives")

MEGABYTE = 1024 * 1024
OVERHEAD_BYTES = MEGABYTE
"""What a multipart body may have beside the archive."""
NO_STATIC_LIMIT = 2**50
"""The limit is a setting, and so is looked after here."""

_ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The archive.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "archive"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {
                            "type": "string",
                            "maxLength": 100,
                            "description": "Name of the new catalogue.",
                            "examples": ["fruit-copy"],
                        },
                        "archive": {
                            "type": "string",
                            "format": "binary",
                            "description": "What `GET /v1/catalogues/{catalogue}/archive` gave.",
                        },
                    },
                },
                "encoding": {"archive": {"contentType": "application/zip"}},
            }
        },
    }
}


@router.get("/catalogues/{catalogue}/archive", response_class=Response, responses=_ZIP)
def export_archive(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    images: Annotated[bool, Query(description="Put the bytes of the pictures in as well.")] = True,
) -> StreamingResponse:
    """The catalogue as a zip: labels, embeddings, selections, findings that were kept, and its pictures.

    Streamed while it is written; one that breaks off cannot be imported.
    """
    pieces = export_catalogue(context, who.tenant, name, images=images)
    headers = {"Content-Disposition": f'attachment; filename="{name}.holotype.zip"'}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.post(
    "/catalogues:import",
    status_code=201,
    responses=responses(400, 409, 413),
    openapi_extra=_FORM,
    max_body_size=NO_STATIC_LIMIT,
)
async def import_archive(
    request: Request, response: Response, who: Writer, context: ContextOf, settings: SettingsOf
) -> Catalogue:
    """Make a new catalogue out of an archive, or nothing: all of it is checked before anything is written."""
    limits = ArchiveLimits(settings.import_mb * MEGABYTE)
    async with _form(request, limits.unpacked_bytes + OVERHEAD_BYTES) as form:
        name, archive = _fields(form)
        made = await run_in_threadpool(
            import_catalogue, context, who.tenant, name, archive.file, limits, encoders=settings.allowed_encoders
        )
    response.headers["Location"] = f"/v1/catalogues/{made.name}"
    return shown_catalogue(made)


@asynccontextmanager
async def _form(request: Request, most_bytes: int) -> AsyncIterator[FormData]:
    """The form, read only now that it is known who asks: what is uploaded goes to a file meanwhile."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await request.receive()
        taken += len(message.get("body", b""))
        if taken > most_bytes:
            raise HTTPException(413, f"the archive has more than {most_bytes // MEGABYTE} MB (HOLOTYPE_IMPORT_MB)")
        return message

    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > most_bytes:
        raise HTTPException(
            413, f"the archive has {int(stated[:20]) // MEGABYTE} MB; at most {most_bytes // MEGABYTE} MB are taken"
        )
    async with Request(request.scope, counted).form(max_files=1, max_fields=2, max_part_size=1000) as form:
        yield form


def _fields(form: FormData) -> tuple[str, UploadFile]:
    given = form.multi_items()
    name, archive = form.get("name"), form.get("archive")
    if not isinstance(name, str) or not isinstance(archive, UploadFile) or len(given) != 2:
        told = ", ".join(sorted({key[:40] for key, _ in given})) or "nothing"
        raise InvalidInput(
            f"a form of 'name', a text, and 'archive', a file, is needed; it has {told}: send it as multipart/form-data"
        )
    return name, archive
