"""Haste: what a search whose time runs out tries first, and keeps for last."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, search
from head2toe.probes.clock import Clock

N, C, FOLDS = 90, 3, 4
Y = np.arange(N) % C
COLUMNS = Columns(
    tuple(Block(name, "mean", 20 * i, 20 * i + 20) for i, name in enumerate("abc")),
    {"noise": (0,), "knows": (1,), "more noise": (2,), LINEAR_VIEW: (2,)},
)
SETTINGS = SearchSettings(
    fractions=(1.0,), heads=("least squares",), strengths=(0.1,), folds=FOLDS, repeats=1, patience=math.inf, seconds=1e9
)


def tried(monkeypatch: pytest.MonkeyPatch, left: Callable[[int], float], **options) -> dict[tuple[str, str], int]:
    """How many folds judged each way, where after so many passes so many are left."""
    monkeypatch.setattr(Clock, "passes_left", lambda self: left(len(self._passes)))
    X = np.random.default_rng(0).normal(size=(N, 60))
    X[:, 20:24] += 1.5 * np.eye(C)[Y][:, [0, 1, 2, 0]]
    table = search(X.astype(np.float32), Y, COLUMNS, settings=replace(SETTINGS, **options)).table
    return {(row["view"], row["layer_weights"]): row["folds"] for row in table if row["view"] != LINEAR_VIEW}


def test_the_last_view_with_learned_weights_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(monkeypatch, lambda _: 0.0) == {("more noise", "learned"): FOLDS}


def test_when_time_suddenly_runs_out_the_best_way_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tried(monkeypatch, lambda passes: math.inf if passes <= 3 else 0.0, layer_weights=("learned",))
    assert found == {("knows", "learned"): FOLDS, ("noise", "learned"): 1, ("more noise", "learned"): 1}


@pytest.mark.parametrize("most", [4, 5, 7, 9])
def test_one_way_passes_all_folds_and_no_more_passes_are_made_than_there_is_time_for(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    found = tried(monkeypatch, lambda passes: float(most - passes))
    assert max(found.values()) == FOLDS and sum(found.values()) <= most
