"""Pictures made in memory for the tests."""

from io import BytesIO

import numpy as np
from PIL import Image


def noise(height=40, width=60, seed=0, channels=3):
    """Smooth noise, uint8 (height, width, channels): survives JPEG, unlike white noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    planes = [
        Image.fromarray(coarse[:, :, i]).resize((width, height), Image.Resampling.BICUBIC) for i in range(channels)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def as_file(image, kind="PNG", **options):
    """The bytes of a file; `image` is a Pillow image or an array that Pillow understands."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
