"""Who falls behind leaves before all folds have judged (racing, Maron and Moore 1994): folds are spent on the best."""

from __future__ import annotations

import math

import numpy as np

from head2toe.probes.paired import paired_difference
from head2toe.probes.settings import Features

MOST_WAYS = (4, 3, 2)  # pairs of a view and a weighing of layers that go on after one turn, two, and more


def most_ways(patience: float, turns: int) -> float:
    """How many ways go on after so many looks; all of them where nothing is given up."""
    return math.inf if math.isinf(patience) else MOST_WAYS[min(turns, len(MOST_WAYS)) - 1]


def going_on(
    hits: dict[Features, np.ndarray],
    share: np.ndarray,
    patience: float,
    most: float,
    images: float,
    groups: np.ndarray | None = None,
) -> set[Features]:
    """The features that stay in the race, those of the best few ways among them alone.

    Parameters
    ----------
    hits : dict of bool arrays (held-out rows,)
        What the best head on each gets right, of the features that all folds so far have judged.
    share : array (held-out rows,)
        Weights of these rows; they sum to one.
    patience : float
        What is further behind the best than so many standard errors of the paired difference leaves. Infinite: nothing
        does.
    most : float
        How many ways may go on, one at least; infinite: all.
    images : float
        `paired.effective_images` among the rows.
    groups : int64 array (held-out rows,), optional
        Which of them belong together.
    """
    if not hits:
        return set()
    right = np.stack(list(hits.values()))
    accuracy = right @ share
    gap, spread = paired_difference(right, right[accuracy.argmax()], share, images, groups)
    endless = math.isinf(patience)
    near = {one: accuracy[i] for i, one in enumerate(hits) if endless or gap[i] <= patience * spread[i]}
    best: dict[tuple[str, str], float] = {}
    for features, reached in near.items():
        best[features.way] = max(best.get(features.way, 0.0), reached)
    ways = sorted(best, key=lambda way: (-best[way], way))[: max(1, int(min(most, len(best))))]
    return {features for features in near if features.way in ways}
