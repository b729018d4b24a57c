"""The race: who is near the best stays, and never more ways than there are folds to spend on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from head2toe.probes.race import MOST_WAYS, going_on, most_ways
from head2toe.probes.settings import Features

WAYS = [(view, way) for view in "abc" for way in ("equal", "learned")]
N = 400


def hits(rates: dict[Features, float], images: int = N) -> dict[Features, np.ndarray]:
    """Right where a draw common to all stays below each one's rate: the differences are paired."""
    draws = (np.arange(images) + 0.5) / images
    return {features: draws < rate for features, rate in rates.items()}


def near_and_far() -> dict[Features, float]:
    near = {Features(view, way, 0.1): 0.8 - 0.001 * i for i, (view, way) in enumerate(WAYS)}
    return near | {Features(view, way, 1.0): 0.6 for view, way in WAYS}


def judge(found: dict[Features, np.ndarray], patience: float = 2.0, turns: int = 1) -> set[Features]:
    images = len(next(iter(found.values())))
    return going_on(found, np.full(images, 1 / images), patience, most_ways(patience, turns), images)


@pytest.mark.parametrize("turns", [1, 2, 3, 15])
def test_the_best_ways_go_on_without_what_is_far_behind(turns: int) -> None:
    most = MOST_WAYS[min(turns, len(MOST_WAYS)) - 1]
    assert judge(hits(near_and_far()), turns=turns) == {Features(view, way, 0.1) for view, way in WAYS[:most]}


def test_a_lead_is_measured_in_standard_errors_of_the_paired_difference() -> None:
    """An image in twenty on which two differ, all one way: z = sqrt(n) 0.05 / sqrt(0.05 - 0.05^2)."""
    pair = {Features("a", "equal", 0.1): 0.8, Features("a", "equal", 1.0): 0.75}
    z = math.sqrt(N) * 0.05 / math.sqrt(0.05 - 0.05**2)
    assert len(judge(hits(pair), patience=z + 0.01)) == 2
    assert len(judge(hits(pair), patience=z - 0.01)) == 1
    assert len(judge(hits(pair, images=40))) == 2  # few images tell less


def test_repeats_are_no_new_images() -> None:
    pair = hits({Features("a", "equal", 0.1): 0.8, Features("a", "equal", 1.0): 0.75}, 40)
    thrice = {features: np.tile(right, 9) for features, right in pair.items()}
    assert len(going_on(thrice, np.full(360, 1 / 360), 2.0, 1, 40)) == 2
    assert len(going_on(thrice, np.full(360, 1 / 360), 2.0, 1, 360)) == 1


def test_endless_patience_gives_nothing_up() -> None:
    found = hits(near_and_far())
    assert judge(found, math.inf, 3) == set(found)
    assert going_on({}, np.empty(0), 2.0, 1, 10) == set()
