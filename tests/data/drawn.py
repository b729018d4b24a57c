"""Small pictures, and files of them."""

from __future__ import annotations

import numpy as np

from head2toe.data import as_images


def gradient(height=12, width=16):
    """Smooth, so that JPEG keeps it; different in every corner."""
    red = np.linspace(0, 250, width)[None, :].repeat(height, 0)
    green = np.linspace(0, 250, height)[:, None].repeat(width, 1)
    return np.stack([red, green, np.full((height, width), 40.0)], -1).astype(np.uint8)


def saved(folder, image, name="picture.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


def pixels(path):
    image = as_images([path])[0]
    assert image.mode == "RGB"
    return np.asarray(image)
