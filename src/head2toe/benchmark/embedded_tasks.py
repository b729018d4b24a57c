"""Small tasks that need no download: scikit-learn's digits, and sprites drawn here, with two labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from head2toe.checks import is_whole, require
from head2toe.errors import ParameterError

SIZE = 64  # pixels, as in dSprites
_OVERSAMPLING = 8

# The factors of dSprites and their numbers of values; its labels on VTAB are x // 2 (16 classes) and orientation bins.
SCALES = np.linspace(0.5, 1.0, 6)
ORIENTATIONS, POSITIONS = 40, 32
LOCATION_CLASSES, ORIENTATION_CLASSES = 16, 8


@dataclass(frozen=True)
class EmbeddedTask:
    """Images and labels for training and for testing.

    Attributes
    ----------
    name, title, source : str
        For tables: a short name, a few words, and where the images come from.
    train_images, test_images : uint8 arrays (n, 64, 64)
        Grey.
    train_labels, test_labels : int64 arrays (n,)
        Class numbers 0 .. c-1.
    """

    name: str
    title: str
    source: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def embedded_task(name: str, *, n_train: int = 300, n_test: int = 500, random_state: int = 0) -> EmbeddedTask:
    """Make one of the embedded tasks.

    Parameters
    ----------
    name : "digits", "sprites-location" or "sprites-orientation"
    n_train, n_test : int
        Numbers of images; no image is in both parts. The test part does not depend on `n_train`.
    random_state : int
        Which images are drawn.

    Raises
    ------
    ParameterError
        Unknown name, or more images than there are.
    """
    if name not in _MAKERS:
        raise ParameterError(f"unknown embedded task {name!r}: use one of {', '.join(TASKS)}")
    if not all(is_whole(count) and count >= 1 for count in (n_train, n_test)):
        raise ParameterError(f"n_train = {n_train!r}, n_test = {n_test!r}: both must be whole numbers of at least 1")
    fits = is_whole(random_state) and random_state >= 0
    require(fits, "random_state", random_state, "a whole number from 0 on")
    return _MAKERS[name](n_train, n_test, random_state)


def _choose(total: int, n_train: int, n_test: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the training images and of the test images, disjoint, out of `total`."""
    if n_train + n_test > total:
        raise ParameterError(f"{n_train} + {n_test} images asked for, {total} exist: ask for fewer")
    order = np.random.default_rng(random_state).permutation(total)
    return order[:n_train], order[total - n_test :]


def _digits(n_train: int, n_test: int, random_state: int) -> EmbeddedTask:
    from sklearn.datasets import load_digits

    data: Any = load_digits()  # a Bunch; scikit-learn declares no type
    train, test = _choose(len(data.images), n_train, n_test, random_state)
    images = np.stack([_enlarge(image) for image in data.images])
    return EmbeddedTask(
        name="digits",
        title="Handwritten digits",
        source="The digits of scikit-learn: 8 x 8 pixels, real handwriting, enlarged to 64 x 64",
        train_images=images[train],
        train_labels=data.target[train].astype(np.int64),
        test_images=images[test],
        test_labels=data.target[test].astype(np.int64),
    )


def _enlarge(image: np.ndarray) -> np.ndarray:
    """An 8 x 8 image with grey levels 0 .. 16 as 64 x 64 pixels of 0 .. 255."""
    grey = Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8))
    return np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _location(n_train: int, n_test: int, random_state: int) -> EmbeddedTask:
    return _sprites("location", "Where a sprite is (x in 16 classes)", n_train, n_test, random_state)


def _orientation(n_train: int, n_test: int, random_state: int) -> EmbeddedTask:
    return _sprites("orientation", "How a sprite is turned (8 classes)", n_train, n_test, random_state)


def _sprites(factor: str, title: str, n_train: int, n_test: int, random_state: int) -> EmbeddedTask:
    numbers = (len(SHAPES), len(SCALES), ORIENTATIONS, POSITIONS, POSITIONS)
    parts = []
    for chosen in _choose(math.prod(numbers), n_train, n_test, random_state):
        shape, scale, orientation, x, y = np.unravel_index(chosen, numbers)
        images = np.stack([_draw(*values) for values in zip(shape, scale, orientation, x, y, strict=True)])
        labels = {
            "location": x * LOCATION_CLASSES // POSITIONS,
            "orientation": orientation * ORIENTATION_CLASSES // ORIENTATIONS,
        }
        parts.append((images, labels[factor].astype(np.int64)))
    (train_images, train_labels), (test_images, test_labels) = parts
    return EmbeddedTask(
        name=f"sprites-{factor}",
        title=title,
        source="Drawn at run time with the factors of dSprites: shape, scale, orientation, position x and y",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y - 2.5], axis=1)


# Outlines around the origin, y downwards, scaled to a radius of 1 below. None is mapped to itself by a turn, so every
# orientation looks different (the square and the ellipse of dSprites make its orientation label ambiguous).
SHAPES: dict[str, np.ndarray] = {
    "heart": _heart(),
    "arrow": np.array([(0, -1), (0.8, 0), (0.3, 0), (0.3, 0.9), (-0.3, 0.9), (-0.3, 0), (-0.8, 0)], dtype=float),
    "hook": np.array([(-0.6, -0.9), (0, -0.9), (0, 0.3), (0.8, 0.3), (0.8, 0.9), (-0.6, 0.9)], dtype=float),
}
_OUTLINES = [outline / np.linalg.norm(outline, axis=1).max() for outline in SHAPES.values()]
_RADIUS = 0.2 * SIZE  # of a shape at scale 1
_MARGIN = _RADIUS + 2  # a centre is never nearer to the border: the sprite is always whole


def _draw(shape: int, scale: int, orientation: int, x: int, y: int) -> np.ndarray:
    """One white sprite on black, antialiased: drawn eight times too large, then averaged."""
    angle = 2 * np.pi * orientation / ORIENTATIONS
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = _MARGIN + np.array([x, y]) / (POSITIONS - 1) * (SIZE - 2 * _MARGIN)
    points = (_OUTLINES[shape] * _RADIUS * SCALES[scale] @ turn.T + centre) * _OVERSAMPLING
    large = Image.new("L", (SIZE * _OVERSAMPLING, SIZE * _OVERSAMPLING))
    ImageDraw.Draw(large).polygon([(float(px), float(py)) for px, py in points], fill=255)
    return np.asarray(large.reduce(_OVERSAMPLING))


_MAKERS: dict[str, Callable[[int, int, int], EmbeddedTask]] = {
    "digits": _digits,
    "sprites-location": _location,
    "sprites-orientation": _orientation,
}
TASKS = tuple(_MAKERS)
