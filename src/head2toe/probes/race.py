"""Who falls behind leaves before all folds have judged (racing, Maron and Moore 1994): folds are spent on the best."""

from __future__ import annotations

import numpy as np

from head2toe.probes.paired import behind
from head2toe.probes.settings import Features

MOST_WAYS = (4, 3, 2)  # pairs of a view and a way of weighing layers that go on after one turn, two, and more


def going_on(
    hits: dict[Features, np.ndarray], share: np.ndarray, patience: float, turns: int, images: float
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
        does, and all ways go on.
    turns : int
        How many looks there have been, this one among them.
    images : float
        `paired.effective_images` among the rows.
    """
    if not hits or np.isinf(patience):
        return set(hits)
    right = np.stack(list(hits.values()))
    accuracy = right @ share
    gap, spread = behind(right, right[accuracy.argmax()], share, images)
    near = {one: accuracy[i] for i, one in enumerate(hits) if gap[i] <= patience * spread[i]}
    best: dict[tuple[str, str], float] = {}
    for features, reached in near.items():
        way = features.view, features.layer_weights
        best[way] = max(best.get(way, 0.0), reached)
    ways = sorted(best, key=lambda way: (-best[way], way))[: MOST_WAYS[min(turns, len(MOST_WAYS)) - 1]]
    return {features for features in near if (features.view, features.layer_weights) in ways}
