"""Repetitions of cross-validation: each shuffles anew, or it would tell nothing new."""

from __future__ import annotations

import numpy as np
import pytest

from head2toe.probes.folds import stratified_folds


@pytest.mark.parametrize("groups", [None, np.arange(60) // 2], ids=["rows", "groups"])
def test_no_repetition_splits_as_another_does(groups: np.ndarray | None) -> None:
    folds = stratified_folds(np.arange(60) % 3, 5, groups=groups, repeats=3)
    splits = [tuple(tuple(fold.held_out) for fold in folds[start : start + 5]) for start in (0, 5, 10)]
    assert len(set(splits)) == 3
