"""The finer rules of a ballot: between equals the more accurate, and no rival by a margin that says nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from head2toe.probes.ballot import ERRORS, SURE, Ballot
from head2toe.probes.paired import paired_difference

ROWS, FOLDS = 400, 5


def ballot(hits: np.ndarray, linear: list[bool] | None = None) -> Ballot:
    """Of candidates of one size and network."""
    candidates, rows = hits.shape
    return Ballot(
        hits,
        np.ones(rows),  # weights
        np.arange(rows),
        np.arange(rows) % FOLDS,
        np.zeros(rows, np.int64),  # one repetition
        np.full(candidates, 10),
        np.ones((candidates, rows)),  # losses
        np.array(linear or [False] * candidates),
        (frozenset("a"),) * candidates,
    )


def lead(first: np.ndarray, second: np.ndarray) -> float:
    """In standard errors of the paired difference."""
    gap, spread = paired_difference(second[None], first, np.full(ROWS, 1 / ROWS), ROWS)
    return float(gap[0] / spread[0])


def test_of_one_size_the_more_accurate_wins_over_the_lower_loss() -> None:
    hits = np.zeros((2, ROWS), bool)
    hits[0, :22] = hits[1, 22:42] = hits[:, 42::2] = True
    assert 0 < lead(*hits) < ERRORS
    assert replace(ballot(hits), losses=np.repeat([[0.6], [0.5]], ROWS, axis=1)).winner() == 0


def test_choosing_among_the_others_must_be_clearly_better_than_the_linear_probe() -> None:
    """Each rival is lucky in one fold; what the other folds choose is two rows better than the linear probe."""
    hits = np.zeros((FOLDS + 1, ROWS), bool)
    hits[:, ::2] = True
    for i in range(FOLDS):
        hits[i, i:80:FOLDS] = True
    hits[:FOLDS, 201:225:2] = hits[FOLDS, 321:341:2] = True
    unlucky = hits[0] & (np.arange(ROWS) % FOLDS != 0) | (np.arange(ROWS) % 2 == 0)
    assert 1 < lead(hits[0], hits[FOLDS]) < SURE and unlucky.sum() > hits[FOLDS].sum() - 2
    assert ballot(hits, [False] * FOLDS + [True]).winner() == FOLDS


def test_the_estimate_is_weighted() -> None:
    hits = np.random.default_rng(0).random((1, ROWS)) < 0.7
    weight = np.random.default_rng(1).uniform(0.1, 5, ROWS)
    found = replace(ballot(hits), weight=weight).estimated_accuracy()
    assert found == pytest.approx(np.average(hits[0], weights=weight))


def two(won: int, lost: int) -> np.ndarray:
    """The second is the linear probe; each alone is right on some rows of all folds, both on half the rest."""
    hits = np.zeros((2, ROWS), bool)
    hits[0, :won] = hits[1, won : won + lost] = hits[:, won + lost :: 2] = True
    return hits


def test_choosing_among_the_others_is_choosing_without_the_linear_probe() -> None:
    """All folds but one would prefer it, being fewer; but that is not what they are asked."""
    hits = two(27, 20)
    assert 1 < lead(*hits) < 1 / np.sqrt(1 - 1 / FOLDS)
    assert ballot(hits, [False, True]).winner() == 0


def test_a_single_fold_has_no_second_opinion() -> None:
    hits = two(30, 18)
    assert 1 < lead(*hits) < SURE
    assert replace(ballot(hits, [False, True]), fold=np.zeros(ROWS, np.int64)).winner() == 0
