"""A laboratory with two tiny tasks, two tiny networks and settings that take a second."""

from __future__ import annotations

import pytest

from estimators.tiny import pictures, write_local_dir
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.settings import Settings
from head2toe.benchmark.tasks import Task
from head2toe.data import LabelledImages, as_images
from head2toe.features import Cache

SETTINGS = Settings(
    target_sizes=(16, 4), fractions=(0.02, 0.3, 1.0), group=64, shots=(2, 4), repeats=2, steps=2, batch_size=8, side=32
)


def labelled(n, seed):
    images, labels = pictures(n, seed)
    return LabelledImages(as_images(images), list(labels), [str(i) for i in range(n)])


@pytest.fixture(scope="session")
def specs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    # Not the seed of the settings: training from scratch must draw other weights.
    return {f"tiny{seed}": write_local_dir(folder / f"tiny{seed}", seed=seed) for seed in (10, 11)}


@pytest.fixture(scope="session")
def laboratory(specs, tmp_path_factory):
    tasks = [
        Task(name, "", labelled(36, seed), labelled(24, seed + 50)) for name, seed in (("first", 0), ("second", 1))
    ]
    return Laboratory(tasks, specs, Cache(tmp_path_factory.mktemp("rows")), SETTINGS, run_options={"dtype": "float32"})
