"""Pictures that are asked about: the parts of a form, or the body itself. They are gone when the answer is there.

Small ones stay in memory, unlike those of an ingest: what is asked is answered at once. A body is read only when the
key has been looked at.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any, BinaryIO, TypeVar, cast

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from service.api.access import Reader
from service.api.json_bodies import refuse_doubles
from service.api.uploads import FORM_TYPE, JSON_TYPE, MAX_NAME
from service.errors import InvalidInput, counted
from service.usecases.resolver import Resolver

PICTURES, PICTURE = "pictures", "picture"
PICTURE_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
MAX_TEXT_BYTES = 64 * 1024
"""Of one text field, and of a JSON body."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of a request, unless its route says otherwise."""
KEPT_SELECTIONS = 64
"""Heads that are kept for classifying: each takes a few hundred kilobytes."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class AskedPicture:
    """A picture of a request, under the name that it was sent with."""

    name: str
    file: BinaryIO

    def read(self) -> bytes:
        """All its bytes."""
        self.file.seek(0)
        return self.file.read()


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a request brought: pictures and text fields, or a JSON value."""

    pictures: Sequence[AskedPicture] = ()
    fields: Mapping[str, list[str]] = field(default_factory=dict)
    body: bytes | None = None

    def named(self, least: int = 1) -> list[tuple[str, bytes]]:
        """Name and bytes of each picture, in order. Raises InvalidInput when there are too few."""
        if len(self.pictures) < least:
            raise InvalidInput(f"no picture was sent: send one as a file, in a part named `{PICTURES}` of a form")
        return [(one.name, one.read()) for one in self.pictures]

    def options(
        self, model: type[Model], query: BaseModel | None = None, *, lists: frozenset[str] = frozenset()
    ) -> Model:
        """The options: a JSON body, or the text fields (those in `lists` may come more than once) over a query's.

        Raises RequestValidationError.
        """
        try:
            if self.body is not None:
                refuse_doubles(self.body)
                return model.model_validate_json(self.body)
            sent = {name: texts if name in lists or len(texts) > 1 else texts[0] for name, texts in self.fields.items()}
            asked = {} if query is None else query.model_dump(exclude_unset=True)
            return model.model_validate(asked | sent)
        except ValidationError as error:
            lines = error.errors(include_url=False, include_input=False)
            raise RequestValidationError([{**line, "loc": ("body", *line["loc"])} for line in lines]) from error


def asked_form(
    most: int,
    *,
    part: str = PICTURES,
    takes_json: bool = False,
    takes_picture: bool = False,
    max_bytes: int = MAX_BODY_BYTES,
) -> Callable[..., AsyncIterator[Asked]]:
    """A dependency that reads the body; to be used with `scope="function"`, so that files go before the answer does.

    Its route has `max_body_size=ANY_SIZE`: sizes are counted here, where a refusal is a problem like any other.

    Args:
        most: pictures at most.
        part: name of the parts that are pictures.
        takes_json: a JSON body is fine, too, and none at all, which says nothing.
        takes_picture: so is a picture as the whole body.
        max_bytes: of the body of a form, and of a picture.
    """
    kinds = [FORM_TYPE, *([JSON_TYPE] if takes_json else []), *(sorted(PICTURE_TYPES) if takes_picture else [])]

    async def asked(request: Request, _who: Reader) -> AsyncIterator[Asked]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if takes_json and not kind and request.headers.get("content-length", "0") == "0":
            kind = JSON_TYPE
        if kind not in kinds:
            raise HTTPException(415, f"the body is {kind or 'of no type'}; {' or '.join(kinds)} is needed")
        try:
            if kind == JSON_TYPE:
                yield Asked(body=await _whole(request, MAX_TEXT_BYTES) or b"{}")
            elif kind in PICTURE_TYPES:
                yield Asked(pictures=[AskedPicture(PICTURE, io.BytesIO(await _whole(request, max_bytes)))])
            else:
                form = await _form(request, most, max_bytes)
                try:
                    yield _sorted_out(form, part)
                finally:
                    await form.close()
        except ClientDisconnect:
            raise HTTPException(400, "the request was broken off before its end") from None

    return asked


async def _whole(request: Request, most_bytes: int) -> bytes:
    return b"".join([chunk async for chunk in _limited(request, most_bytes)])


async def _limited(request: Request, most_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises HTTPException 413 for one that is too large, or says that it will be."""
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() else 0
    async with aclosing(request.stream()) as stream:
        if size <= most_bytes:
            size = 0
            async for chunk in stream:
                size += len(chunk)
                if size > most_bytes:
                    break
                yield chunk
    if size > most_bytes:
        raise HTTPException(413, f"the body has more than {most_bytes // 1024} kB: send less in one request")


class _Parser(MultiPartParser):
    """Starlette's, which does not say by itself when the last boundary is missing."""

    ended = False

    def on_end(self) -> None:
        self.ended = True

    def close_files(self) -> None:
        """Also of parts without an end, which the form does not have."""
        for file in self._files_to_close_on_error:
            file.close()


async def _form(request: Request, most: int, most_bytes: int) -> FormData:
    """Raises HTTPException 400 for a form that cannot be read, InvalidInput for too many pictures."""
    if b"boundary" not in parse_options_header(request.headers["content-type"])[1]:
        raise HTTPException(400, "the form has no boundary: let your client set the Content-Type")
    try:
        async with aclosing(_limited(request, most_bytes)) as stream:
            parser = _Parser(
                request.headers, stream, max_files=most, max_fields=most + 100, max_part_size=MAX_TEXT_BYTES
            )
            form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise InvalidInput(
                f"more than {counted(most, 'picture')} were sent: send them in several requests"
            ) from error
        raise HTTPException(400, f"the form cannot be read: {error.message}") from error
    if not parser.ended:
        parser.close_files()
        raise HTTPException(400, "the form ends before its last boundary: it was cut off, or has another boundary")
    return form


def _sorted_out(form: FormData, part: str) -> Asked:
    pictures: list[AskedPicture] = []
    fields: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            fields.setdefault(name, []).append(value)
        elif name != part:
            raise InvalidInput(f"a file was sent as {name[:40]!r}: send pictures as `{part}`")
        elif value.filename or value.size:  # neither is what a browser sends where no file was chosen
            pictures.append(AskedPicture((value.filename or PICTURE)[:MAX_NAME], value.file))
    if part in fields:
        raise InvalidInput(f"`{part}` was sent as text: send it as a file, with a file name")
    return Asked(pictures=pictures, fields=fields)


def resolver_of(request: Request) -> Resolver:
    """What resolves queries in this application: one for all requests, since it keeps what selections it met."""
    state = request.app.state
    if not hasattr(state, "resolver"):
        state.resolver = Resolver(state.context, kept=KEPT_SELECTIONS)
    return cast("Resolver", state.resolver)


ResolverOf = Annotated[Resolver, Depends(resolver_of)]


def described(
    options: type[BaseModel],
    most: int,
    *,
    part: str = PICTURES,
    also: Mapping[str, Any] | None = None,
    required: bool = True,
) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads with `asked_form`: its form, and other media types."""
    fields = options.model_json_schema()
    one = {"type": "string", "format": "binary", "description": "JPEG, PNG or WebP."}
    files: dict[str, Any] = one if most == 1 else {"type": "array", "items": one, "minItems": 1, "maxItems": most}
    schema = {**fields, "properties": {part: files, **fields.get("properties", {})}}
    schema["required"] = [*([part] if required else []), *fields.get("required", [])]
    content = {FORM_TYPE: {"schema": schema}, **(also or {})}
    return {"requestBody": {"required": True, "content": json.loads(json.dumps(content))}}
