"""What requests that bring pictures may say, and how it becomes what the use cases take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.api.json_bodies import refuse_doubles
from service.api.uploads import FORM_TYPE, JSON_TYPE, MAX_NAME, Sent, SentFile
from service.errors import InvalidInput
from service.records import JobKind
from service.usecases.files import MAX_FILE_BYTES, too_large
from service.usecases.handing_over import Picture
from service.usecases.upload_labels import SentLabels, SentPicture, labelled, unlabelled
from service.usecases.uploads import MOST_PICTURES, Purpose

PICTURES, MANIFEST = "pictures", "manifest"

Model = TypeVar("Model", bound=BaseModel)

SplitName = Literal["auto", "support", "tuning", "holdout"]
Label = Annotated[
    str | None, Field(default=None, max_length=MAX_NAME, description="Label of the pictures without one of their own.")
]


class Labelling(BaseModel):
    """How pictures get their labels and splits."""

    model_config = ConfigDict(extra="forbid")

    label: Label
    split: SplitName = Field(default="auto", description="What they are for; `auto` decides by content.")

    def over(self, former: Mapping[str, Any]) -> Self:
        """This, and where it says nothing what the request said that opened the job (its parameters)."""
        said = {name: former[name] for name in ("label", "split") if former.get(name) is not None}
        unsaid = {name: value for name, value in said.items() if name not in self.model_fields_set}
        return self.model_copy(update=unsaid)


class Wish(Labelling):
    """What pictures are handed over for."""

    purpose: Literal["store", "classify"] = Field(
        default="store", description="`store` makes examples of them; `classify` answers them and forgets them."
    )
    top: int = Field(default=5, ge=1, le=100, description="Labels that each answer names (classify).")
    max_error: float | None = Field(
        default=None, gt=0, lt=1, description="Reject what cannot be answered at this error (classify)."
    )
    open: bool = Field(default=False, description="More pictures follow; `:seal` lets the job begin.")

    def as_purpose(self, *, fetches: bool) -> Purpose:
        """What the use case takes. Raises InvalidInput for what does not go together."""
        if self.purpose == "store":
            if self.max_error is not None:
                raise InvalidInput("max_error is for purpose=classify: leave it out")
            return Purpose(kind=JobKind.INGEST, open=self.open, fetches=fetches, label=self.label, split=self.split)
        if self.label is not None or self.split != "auto":
            raise InvalidInput("label and split are for purpose=store: pictures to be classified have none")
        return Purpose(kind=JobKind.CLASSIFY, open=self.open, top=self.top, max_error=self.max_error, fetches=fetches)


class UploadForm(Wish):
    """The text fields of an upload."""

    paths: list[Annotated[str, Field(max_length=MAX_NAME)]] = Field(
        default_factory=list,
        max_length=MOST_PICTURES,
        description="Names of the pictures, one for each in order, where the file parts' own have no folders.",
    )


class MoreForm(Labelling):
    """The text fields of a request that adds to an open ingest."""

    paths: list[Annotated[str, Field(max_length=MAX_NAME)]] = Field(
        default_factory=list, max_length=MOST_PICTURES, description="As for the first request."
    )


class UrlItem(BaseModel):
    """A picture by its URL."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2000, examples=["https://pictures.example/apple-1.jpg"])
    label: str | None = Field(default=None, max_length=MAX_NAME, examples=["apple"])
    split: SplitName | None = None
    box: list[float] | None = Field(
        default=None,
        min_length=4,
        max_length=4,
        description="x, y, width, height in pixels of the upright picture, where only that part counts.",
        examples=[[10, 20, 300, 200]],
    )
    keep_aspect: bool = Field(default=False, description="Keep the box's proportions instead of stretching it.")
    metadata: dict[str, str] = Field(
        default_factory=dict, max_length=16, description="The user's own texts by name.", examples=[{"lot": "17"}]
    )


UrlItems = Annotated[list[UrlItem], Field(min_length=1, max_length=MOST_PICTURES)]


class UrlIngest(Wish):
    """Pictures that workers fetch."""

    items: UrlItems


class MoreUrls(Labelling):
    """More pictures that workers fetch, for an open ingest."""

    items: UrlItems


def read_json(model: type[Model], body: bytes) -> Model:
    """The JSON body. Raises RequestValidationError, HTTPException (422) for a member that is there twice."""
    refuse_doubles(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(error) from error


def read_form(model: type[Model], sent: Sent) -> Model:
    """The text fields. Raises RequestValidationError, also for a file part of an unknown name."""
    values: dict[str, Any] = {}
    for name, texts in sent.fields.items():
        values[name] = texts if name == "paths" or len(texts) > 1 else texts[0]
    values |= {name: "a file" for name in sent.files if name not in (PICTURES, MANIFEST)}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _unreadable(error) from error


def pictures_of(sent: Sent, form: UploadForm | MoreForm, kind: JobKind) -> list[Picture]:
    """The pictures of a form. Raises InvalidInput, ManifestError; HTTPException 413 for too many."""
    files = sent.files.get(PICTURES, [])
    if len(files) > MOST_PICTURES:
        raise HTTPException(413, f"the request has {len(files)} pictures; at most {MOST_PICTURES} are taken at once")
    named = _named(files, form.paths)
    manifests = sent.files.get(MANIFEST, [])
    if len(manifests) > 1:
        raise InvalidInput(f"the request has {len(manifests)} manifests; one is taken")
    if kind is JobKind.CLASSIFY:
        if manifests:
            raise InvalidInput("a manifest is for purpose=store: pictures to be classified have no labels")
        return unlabelled(named)
    manifest = manifests[0] if manifests else None
    if manifest is not None and manifest.size_bytes > MAX_FILE_BYTES:  # only its beginning was kept
        raise HTTPException(413, f"the manifest: {too_large(manifest.size_bytes)}, or send it in parts")
    labels = SentLabels(
        label=form.label,
        split=form.split,
        manifest=None if manifest is None else manifest.path,
        manifest_name="manifest" if manifest is None else manifest.name or "manifest",
    )
    return labelled(named, labels)


def _named(files: Sequence[SentFile], paths: Sequence[str]) -> list[SentPicture]:
    if paths and len(paths) != len(files):
        raise InvalidInput(f"{len(paths)} `paths` were sent for {len(files)} `pictures`: send one for each, in order")
    names = list(paths) or [one.name for one in files]
    return [
        SentPicture(name=name, path=one.path, size_bytes=one.size_bytes) for name, one in zip(names, files, strict=True)
    ]


def _unreadable(error: ValidationError) -> RequestValidationError:
    lines = error.errors(include_url=False, include_input=False)
    return RequestValidationError([{**line, "loc": ("body", *line["loc"])} for line in lines])


def request_body(form: type[BaseModel], json_model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes a form of pictures or JSON with URLs."""
    fields = form.model_json_schema()
    files = {
        PICTURES: {
            "type": "array",
            "maxItems": MOST_PICTURES,
            "items": {"type": "string", "format": "binary"},
            "description": "JPEG, PNG or WebP. The folder in the file name is the label: `apple/1.jpg`.",
        },
        MANIFEST: {
            "type": "string",
            "format": "binary",
            "description": "CSV or JSONL with path, label, split, box (x,y,width,height in pixels) or mask (name of a "
            "picture in this request, black where nothing counts), keep_aspect; further columns are metadata.",
        },
    }
    fields["properties"] = {**files, **fields["properties"]}
    linked = _inlined(json_model.model_json_schema())
    return {
        "requestBody": {
            "required": True,
            "content": {
                FORM_TYPE: {"schema": fields},
                JSON_TYPE: {"schema": linked, "example": dict(example)},
            },
        }
    }


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions in place: it stands alone inside the description."""
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:  # noqa: ANN401 -- JSON
        if isinstance(value, dict):
            if "$ref" in value:
                return resolve(definitions[value["$ref"].rpartition("/")[2]])
            return {key: resolve(one) for key, one in value.items()}
        return [resolve(one) for one in value] if isinstance(value, list) else value

    return dict(resolve(schema))
