from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from head2toe.benchmark import TASKS, embedded_task
from head2toe.benchmark.embedded_tasks import ORIENTATIONS, POSITIONS, SCALES, SHAPES, _draw
from head2toe.errors import ParameterError


def centre_of_mass(image: np.ndarray) -> np.ndarray:
    grey = image.astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(grey * x).sum(), (grey * y).sum()]) / grey.sum()


@pytest.mark.parametrize("name", TASKS)
def test_shapes_types_and_disjoint_parts(name):
    task = embedded_task(name, n_train=150, n_test=100)
    assert task.train_images.shape == (150, 64, 64)
    assert task.test_images.shape == (100, 64, 64)
    assert task.train_images.dtype == np.uint8
    assert task.train_labels.dtype == np.int64
    assert task.train_images.max() == 255
    assert task.train_images.min() == 0
    train = {image.tobytes() for image in task.train_images}
    shared = sum(image.tobytes() in train for image in task.test_images)
    assert shared == 0


@pytest.mark.parametrize("name", TASKS)
def test_same_seed_same_images_and_test_part_independent_of_training_part(name):
    first, again = embedded_task(name, n_train=40, n_test=30), embedded_task(name, n_train=60, n_test=30)
    np.testing.assert_array_equal(first.test_images, again.test_images)
    np.testing.assert_array_equal(first.train_images, again.train_images[:40])
    other = embedded_task(name, n_train=40, n_test=30, random_state=1)
    assert (other.train_images != first.train_images).any()


def test_digits_are_scikit_learns():
    task = embedded_task("digits", n_train=1000, n_test=797)
    labels = np.concatenate([task.train_labels, task.test_labels])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(load_digits().target))
    # Averaged back to 8 x 8 pixels, an image is one of the originals.
    small = task.train_images[:20].reshape(20, 8, 8, 8, 8).mean((2, 4)).reshape(20, -1)
    originals = load_digits().images.reshape(-1, 64) * 255 / 16
    nearest = ((small[:, None] - originals[None]) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(load_digits().target[nearest], task.train_labels[:20])


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_position_moves_the_sprite_and_nothing_else(shape):
    left, right = (_draw(shape, 5, 0, x, 10) for x in (3, POSITIONS - 1))
    moved = centre_of_mass(right) - centre_of_mass(left)
    assert moved[0] > 20
    assert abs(moved[1]) < 0.1
    assert abs(left.sum(dtype=float) / right.sum(dtype=float) - 1) < 0.02


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_sprites_are_whole_everywhere(shape):
    for orientation in range(0, ORIENTATIONS, 5):
        for x, y in ((0, 0), (POSITIONS - 1, POSITIONS - 1)):
            image = _draw(shape, len(SCALES) - 1, orientation, x, y)
            assert not any(edge.any() for edge in (image[0], image[-1], image[:, 0], image[:, -1]))


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_every_orientation_looks_different(shape):
    images = np.stack([_draw(shape, 3, o, 16, 16) for o in range(ORIENTATIONS)]).astype(float).reshape(ORIENTATIONS, -1)
    distance = np.linalg.norm(images[:, None] - images[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    # The most alike are neighbours: a class is a range of angles, and no far angle can be mistaken for it.
    nearest = distance.argmin(1)
    gap = np.minimum(
        (nearest - np.arange(ORIENTATIONS)) % ORIENTATIONS, (np.arange(ORIENTATIONS) - nearest) % ORIENTATIONS
    )
    assert gap.max() == 1


def test_labels_follow_the_drawing():
    task = embedded_task("sprites-location", n_train=200, n_test=10)
    x = np.array([centre_of_mass(image)[0] for image in task.train_images])
    assert np.corrcoef(x, task.train_labels)[0, 1] > 0.97
    assert set(np.unique(task.train_labels)) == set(range(16))
    turned = embedded_task("sprites-orientation", n_train=200, n_test=10)
    np.testing.assert_array_equal(turned.train_images, task.train_images)
    assert set(np.unique(turned.train_labels)) == set(range(8))


@pytest.mark.parametrize(
    ("name", "n_train", "what"), [("cifar", 10, "digits"), ("digits", 1797, "1797"), ("digits", 0, "at least 1")]
)
def test_mistakes_are_named(name, n_train, what):
    with pytest.raises(ParameterError, match=what):
        embedded_task(name, n_train=n_train)
