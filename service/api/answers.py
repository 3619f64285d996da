"""Answers of classify as the API gives them: those of the command line, with links to the neighbours' thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from service.api.links import thumbnail_link

EXAMPLE_ID = "5c0e7c1e-3f0c-5d0a-9a55-0a7c8e1f2b3d"


class ScoredLabelBody(BaseModel):
    """A label with its score: the mean similarity of its best references."""

    label: str = Field(examples=["apple"])
    score: float = Field(description="-1..1, higher is nearer.", examples=[0.83])


class NeighbourBody(BaseModel):
    """A reference that the picture resembles."""

    id: str = Field(description="Id of the example.", examples=[EXAMPLE_ID])
    label: str = Field(examples=["apple"])
    similarity: float = Field(description="Cosine, -1..1, behind the selection's head.", examples=[0.83])
    source: str = Field(description="Where the example came from.", examples=["apple/001.jpg"])
    thumbnail: str = Field(
        description="Path of a small JPEG of it.", examples=[f"/v1/catalogues/fruit/examples/{EXAMPLE_ID}/thumbnail"]
    )


class EncoderBody(BaseModel):
    """What made the embedding."""

    specification: str = Field(examples=["packaged:vit-s14"])
    fingerprint: str = Field(
        description="Digest of weights, pooling and preprocessing: equal where embeddings can be compared.",
        examples=["3b0f1c2d4e5f6a7b"],
    )


class RejectedBody(BaseModel):
    """Why no label was given."""

    reason: str = Field(examples=["between apple and pear"])
    trust: float = Field(description="How far the answer can be trusted, 0..1.", examples=[0.41])
    needed: float = Field(description="How far it must be for the error that was asked for.", examples=[0.78])


class AnswerBody(BaseModel):
    """What a picture was resolved to."""

    path: str = Field(description="Name that the picture was sent under.", examples=["new.jpg"])
    label: str | None = Field(description="The best class; null where the answer was rejected.", examples=["apple"])
    confidence: float = Field(description="Probability that the label is right, 0..1.", examples=[0.97])
    margin: float = Field(description="Score of the best class over that of the second, 0..2.", examples=[0.31])
    top: list[ScoredLabelBody] = Field(description="The best classes, best first.")
    neighbours: list[NeighbourBody] = Field(description="The references behind the answer, nearest first.")
    selection: str | None = Field(description="Id of the selection that answered; null before any optimisation.")
    encoder: EncoderBody | None
    notes: list[str] = Field(description="Sentences that say how little the answer stands on.")
    rejected: RejectedBody | None


class NoAnswerBody(BaseModel):
    """A picture that cannot be used."""

    path: str = Field(examples=["broken.jpg"])
    error: str = Field(description="Why, a sentence.", examples=["the file is empty (0 bytes)"])


def answer_body(catalogue: str, answer: Mapping[str, Any]) -> AnswerBody | NoAnswerBody:
    """The answer of one picture, from the JSON of `Classified.as_dict`."""
    if "error" in answer:
        return NoAnswerBody.model_validate(answer)
    linked = [{**one, "thumbnail": thumbnail_link(catalogue, one["id"])} for one in answer["neighbours"]]
    return AnswerBody.model_validate({**answer, "neighbours": linked})
