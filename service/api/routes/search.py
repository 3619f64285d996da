"""Search: the examples that resemble a picture or a text most."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.api.access import ContextOf, Reader, scoped_router
from service.api.asking import PICTURE, Asked, asked_form, described
from service.api.links import thumbnail_link
from service.api.problems import responses
from service.api.routes.catalogues import CatalogueName
from service.api.uploads import ANY_SIZE, JSON_TYPE
from service.errors import InvalidInput
from service.records import Split
from service.usecases.given_once import GivenTwice, given_once
from service.usecases.labels import MAX_LABEL
from service.usecases.lookup import MOST_RESULTS, Found, search_by_image, search_by_text
from service.usecases.metadata import MAX_TEXT, MOST_ENTRIES

router = scoped_router("ask")

MAX_WORDS = 1000


class SearchOptions(BaseModel):
    """What to look for, and among which examples."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_WORDS,
        description="What the pictures show, instead of a picture; for CLIP encoders.",
        examples=["a ripe pear"],
    )
    top: int = Field(default=10, ge=1, le=MOST_RESULTS, description="Examples to name.")
    label: str | None = Field(default=None, min_length=1, max_length=MAX_LABEL, description="Only of this class.")
    split: Literal["support", "tuning", "holdout"] | None = Field(default=None, description="Only of this split.")
    metadata: dict[str, Annotated[str, Field(max_length=MAX_TEXT)]] = Field(
        default_factory=dict,
        max_length=MOST_ENTRIES,
        description="Only with all of these entries, exactly; in a form, as JSON text.",
        examples=[{"lot": "17"}],
    )

    @field_validator("metadata", mode="before")
    @classmethod
    def _json_text(cls, value: Any) -> Any:  # noqa: ANN401 -- whatever was sent
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value, object_pairs_hook=given_once)
        except GivenTwice as error:
            raise ValueError(f"is wrong: {error}") from None
        except (ValueError, RecursionError) as error:
            raise ValueError('is no JSON text: send an object such as {"lot": "17"}') from error


class FoundExample(BaseModel):
    """An example that resembles what was asked for."""

    id: str = Field(examples=["5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d"])
    label: str = Field(examples=["pear"])
    split: str = Field(description='Its split; "conflict" while its label is contested.', examples=["support"])
    similarity: float = Field(description="Cosine of the raw embeddings, -1..1.", examples=[0.74])
    source: str = Field(examples=["pear/004.jpg"])
    metadata: dict[str, str] = Field(examples=[{"lot": "17"}])
    thumbnail: str = Field(description="Path of a small JPEG of it.")


class FoundExamples(BaseModel):
    """Examples, the most similar first."""

    items: list[FoundExample]


@router.post(
    "/catalogues/{catalogue}:search",
    responses=responses(400, 409, 413, 415),
    max_body_size=ANY_SIZE,
    openapi_extra=described(
        SearchOptions,
        1,
        part=PICTURE,
        also={JSON_TYPE: {"schema": SearchOptions.model_json_schema(), "example": {"text": "a ripe pear", "top": 5}}},
        required=False,
    ),
)
def search_examples(
    name: CatalogueName,
    who: Reader,
    context: ContextOf,
    asked: Annotated[Asked, Depends(asked_form(1, part=PICTURE, takes_json=True), scope="function")],
) -> FoundExamples:
    """Find the examples that resemble a picture or a text most, by their raw embeddings; not only references."""
    options = asked.options(SearchOptions)
    if bool(asked.pictures) == (options.text is not None):
        raise InvalidInput("what to search with: send either a file `picture` or a `text`")
    narrowed: dict[str, Any] = {
        "top": options.top,
        "label": options.label,
        "split": None if options.split is None else Split(options.split),
        "metadata": options.metadata,
    }
    if options.text is None:
        found = search_by_image(context, who.tenant, name, asked.pictures[0].read(), **narrowed)
    else:
        found = search_by_text(context, who.tenant, name, options.text, **narrowed)
    return FoundExamples(items=[_shown(name, one) for one in found])


def _shown(name: str, found: Found) -> FoundExample:
    return FoundExample(**found.as_dict(), thumbnail=thumbnail_link(name, found.id))
