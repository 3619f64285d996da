"""Text as a class's start: prompt embeddings beside reference pictures, fading as pictures arrive.

A class's text score is the cosine of a picture and the class's prompt embedding, in the encoder's own space: prompts
live where the encoder was trained to compare words and pictures, and a head, fitted to pictures alone, would bend them
by directions in which pictures vary and words do not. Cosines of pictures with words and with pictures lie on different
scales (CLIP: about 0.3 and 0.8), so each is read by where right and wrong answers lie on it: the `middle` between what
a picture's own class and its best rival score (medians over pictures), and the `spread`, how far those two lie apart.
A text similarity s counts as image.middle + image.spread * (s - text.middle) / text.spread: what separates by text as
own class from rival is worth what separates them by pictures. Scores of classes without words stay as they are, and
so do the temperature and whatever else was measured on image scores.

The blend of class c is (1 - w) * image score + w * text score on that scale, w = fade / (fade + n) with n pictures of
the class; 1 for a class without pictures, 0 for one without words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from service.core.model import BoolArray, Float32Array, Float64Array, IntArray
from service.errors import InvalidInput

LEAST_SPREAD = 1e-3
"""Below it a kind of score tells own class from rival no better than chance."""
FADES = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""What cross-fitting chooses from; 0: words count for classes without pictures alone."""
DEFAULT_FADE = 1.0
MIN_ANSWERS = 10
"""Pictures of classes with words and pictures that a fade is chosen on, at least."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where right and wrong answers lie: the middle between them, and how far they lie apart, above 0."""

    middle: float
    spread: float


IMAGE_SCALE = Scale(0.75, 0.10)
"""Of raw CLIP embeddings of pictures, before anything was measured: own class about 0.80, rival 0.70."""
TEXT_SCALE = Scale(0.25, 0.06)
"""Of CLIP's pictures and prompts, before anything was measured: own class about 0.28, rival 0.22."""


@dataclass(frozen=True, slots=True)
class Blend:
    """How text and image scores are weighed.

    Attributes:
        fade: a, 0 or above: a class with a pictures is half words.
        image, text: the scales of the two.
    """

    fade: float = DEFAULT_FADE
    image: Scale = IMAGE_SCALE
    text: Scale = TEXT_SCALE

    def weight(self, images: int) -> float:
        """Of the words of a class with so many pictures, 0..1."""
        return 1.0 if images == 0 else self.fade / (self.fade + images)

    def on_image_scale(self, similarity: float) -> float:
        """A text similarity, as large as an image score that says as much."""
        return self.image.middle + self.image.spread * (similarity - self.text.middle) / self.text.spread

    def score(self, image: float | None, similarity: float, images: int) -> float:
        """Of a class with words; `image` None where no picture of it answers."""
        text = self.on_image_scale(similarity)
        if image is None:
            return text
        weight = self.weight(max(images, 1))
        return (1.0 - weight) * image + weight * text

    def as_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return asdict(self)

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Blend:
        """Reads `as_dict` back. Raises InvalidInput, KeyError, TypeError or ValueError for anything else."""
        image, text = (Scale(float(one["middle"]), float(one["spread"])) for one in (value["image"], value["text"]))
        found = Blend(float(value["fade"]), image, text)
        numbers = (found.fade, image.middle, image.spread, text.middle, text.spread)
        if not np.isfinite(numbers).all() or found.fade < 0 or min(image.spread, text.spread) <= 0:
            raise InvalidInput(f"{numbers} are no weights of words and pictures")
        return found


def scale_of(scores: Float32Array | Float64Array, truth: IntArray) -> Scale | None:
    """The scale of class scores (n, C), -inf where a class has none; None where it tells nothing.

    `truth` is int64 (n,), the own class of each row. Rows whose own class, or every other, has no score do not count.
    """
    rows = np.arange(len(truth))
    own = scores[rows, truth].astype(np.float64)
    others = scores.astype(np.float64).copy()
    others[rows, truth] = -np.inf
    rival = others.max(axis=1, initial=-np.inf)
    usable = np.isfinite(own) & np.isfinite(rival)
    if not usable.any():
        return None
    right, wrong = float(np.median(own[usable])), float(np.median(rival[usable]))
    return Scale((right + wrong) / 2, right - wrong) if right - wrong >= LEAST_SPREAD else None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Out-of-fold answers of both kinds, to choose a fade on.

    Attributes:
        image: float32 (n, C), class scores by pictures; -inf for classes without any there.
        text: float32 (n, C), cosines with prompts; -inf for classes without words.
        truth: int64 (n,).
        images: int64 (n, C), pictures of each class that the row's answer could stand on.
    """

    image: Float32Array
    text: Float32Array
    truth: IntArray
    images: IntArray

    def blended(self, blend: Blend) -> Float64Array:
        """Class scores (n, C)."""
        image, words = self.image.astype(np.float64), np.isfinite(self.text)
        text = np.where(words, self.text, 0.0).astype(np.float64)
        text = blend.image.middle + blend.image.spread * (text - blend.text.middle) / blend.text.spread
        weight = blend.fade / (blend.fade + np.maximum(self.images, 1))
        with_pictures = np.isfinite(image)
        both = (1.0 - weight) * np.where(with_pictures, image, 0.0) + weight * text
        return np.where(words, np.where(with_pictures, both, text), image)

    @property
    def telling(self) -> BoolArray:
        """Rows that a fade makes a difference to: some class has words and pictures."""
        return np.asarray((np.isfinite(self.text) & np.isfinite(self.image)).any(axis=1))


def chosen_blend(evidence: Evidence) -> tuple[Blend, dict[str, float]]:
    """The blend whose fade answers most of the evidence rightly, and the accuracy of every fade that was tried.

    Of fades that are equally right the one nearest to the default wins, the smaller of two. Words that tell nothing
    (their spread is none) fade at once. With too little evidence the default fade stays, and nothing was tried.
    """
    image = scale_of(evidence.image, evidence.truth) or IMAGE_SCALE
    text = scale_of(evidence.text, evidence.truth)
    rows = evidence.telling
    if int(rows.sum()) < MIN_ANSWERS:
        return Blend(DEFAULT_FADE, image, text or TEXT_SCALE), {}
    if text is None:
        return Blend(0.0, image, TEXT_SCALE), {}
    tried = {}
    for fade in FADES:
        answers = evidence.blended(Blend(fade, image, text))[rows].argmax(axis=1)
        tried[fade] = float((answers == evidence.truth[rows]).mean())
    best = max(tried, key=lambda fade: (round(tried[fade], 9), -abs(np.log2(max(fade, 1 / 16))), -fade))
    return Blend(best, image, text), {f"{fade:g}": accuracy for fade, accuracy in tried.items()}
