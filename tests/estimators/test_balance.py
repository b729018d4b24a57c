"""Balance: every class weighs the same in total, sample weights counted."""

from __future__ import annotations

import numpy as np
import pytest

from head2toe.estimators.target import Target
from head2toe.estimators.weights import row_weights


def test_balanced_classes_weigh_the_same_whatever_their_samples_weigh() -> None:
    rng = np.random.default_rng(0)
    target = Target.of(np.repeat(["a", "b", "c"], [50, 7, 3]))
    given = rng.uniform(0.1, 4, 60)
    given[:5] = 0
    found = row_weights(target, "balanced", given)
    totals = np.bincount(target.y, weights=found)
    np.testing.assert_allclose(totals, totals[0])
    assert found.sum() == pytest.approx(given.sum())
    for number in range(3):  # inside a class proportions stay
        mine = target.y == number
        np.testing.assert_allclose(found[mine] / found[mine].sum(), given[mine] / given[mine].sum())


def test_a_class_without_weight_gets_none() -> None:
    target = Target.of(np.repeat(["a", "b", "c"], 4))
    found = row_weights(target, "balanced", np.repeat([1.0, 0.0, 3.0], 4))
    assert np.isfinite(found).all() and not found[4:8].any() and found[:4].sum() == pytest.approx(found[8:].sum())
