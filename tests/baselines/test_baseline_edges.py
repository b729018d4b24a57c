"""Baselines: paths that end where they promise to, ties, and what is trained unless asked otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from head2toe.baselines.lasso import MultinomialLasso
from head2toe.baselines.ridge_logistic import PATIENCE, STRENGTHS, ridge_logistic
from head2toe.baselines.training import Schedule, train
from head2toe.probes.folds import stratified_folds
from head2toe.probes.standardised import Standardised


def test_the_lasso_ends_after_the_steps_that_it_may_take() -> None:
    rng = np.random.default_rng(0)
    X, y = torch.from_numpy(rng.normal(size=(60, 300)).astype(np.float32)), torch.arange(60) % 3
    lasso = MultinomialLasso(X, y, 3)
    for most in (7, 50):
        found = lasso.solve(0.01 * lasso.largest, 1e-12, most=most)
        assert found.steps <= most and found.gap > 1e-12


@pytest.mark.parametrize("signal", [0.0, 0.6, 4.0])
def test_a_path_of_strengths_ends_where_the_last_two_were_no_better(signal: float) -> None:
    y = np.arange(60) % 3
    X = np.random.default_rng(0).normal(size=(60, 40)) + signal * np.eye(3, 40)[y]
    found = ridge_logistic(Standardised(X.astype(np.float32)), np.arange(40), y, stratified_folds(y, 3))

    def over(rows: list[dict]) -> bool:
        late, before = rows[-PATIENCE:], rows[:-PATIENCE]
        better = [max(row["cv_accuracy"] for row in late) > max((row["cv_accuracy"] for row in before), default=-1)]
        better += [min(row["cv_log_loss"] for row in late) < min((r["cv_log_loss"] for r in before), default=np.inf)]
        return not any(better)

    assert [row["strength"] for row in found.table] == list(STRENGTHS[: len(found.table)])
    ended = [over(found.table[:end]) for end in range(PATIENCE, len(found.table) + 1)]
    assert not any(ended[:-1]) and (ended[-1] or len(found.table) == len(STRENGTHS))
    best = max(row["cv_accuracy"] for row in found.table)
    equals = [row["cv_log_loss"] for row in found.table if row["cv_accuracy"] == pytest.approx(best, abs=1e-9)]
    assert found.choice["cv_accuracy"] == pytest.approx(best, abs=1e-9) and found.choice["cv_log_loss"] == min(equals)


@pytest.mark.parametrize("kept", [None, True])
def test_statistics_move_in_training_unless_they_are_to_be_kept(kept: bool | None) -> None:
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    schedule = Schedule(2, 0.1, 8, 0) if kept is None else Schedule(2, 0.1, 8, 0, keep_statistics=kept)
    train(network, 5 + torch.randn(16, 4), torch.arange(16) % 2, lambda x: x, schedule, lambda _: None)
    moved = bool((network[0].running_mean != 0).any())  # type: ignore[union-attr]
    assert moved == (kept is None)
