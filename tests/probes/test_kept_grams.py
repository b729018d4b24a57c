"""Matrices kept for the finalists: within their room, and never another answer than making them again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.probes import LINEAR_VIEW, Block, Columns, SearchSettings, kept_grams, search
from head2toe.probes.kept_grams import KeptGrams
from head2toe.probes.settings import EQUAL, Features
from head2toe.probes.standardised import Standardised

N, D = 60, 400
FEW, MANY = Features("all", EQUAL, 0.1), Features("all", EQUAL, 0.3)


def kept(room: int, folds: int = 2) -> KeptGrams:
    return KeptGrams(2, folds, int(room * 4 * 2 * 2 / kept_grams.SHARE) + 1)


def test_gives_back_what_was_put() -> None:
    grams, gram = kept(2), torch.eye(2)
    grams.put(FEW, 0, gram)
    assert grams.get(FEW, 0) is gram
    assert grams.get(FEW, 1) is None
    assert grams.get(MANY, 0) is None


def test_takes_no_more_than_its_room_and_has_room_again_for_what_was_let_go() -> None:
    grams = kept(3)
    for fold in range(2):
        grams.put(FEW, fold, torch.eye(2))
        grams.put(MANY, fold, torch.eye(2))
    assert grams.most == 1
    assert grams.get(MANY, 1) is None
    grams.only([MANY])
    assert grams.get(FEW, 0) is None
    grams.put(MANY, 1, torch.eye(2))
    assert grams.get(MANY, 1) is not None


def searched(share: float, monkeypatch: pytest.MonkeyPatch) -> tuple[dict, int]:
    """The choice, and how many Gram matrices were made of columns."""
    monkeypatch.setattr(kept_grams, "SHARE", share)
    made, gram = 0, Standardised.gram

    def counted(*arguments, **options):
        nonlocal made
        made += 1
        return gram(*arguments, **options)

    monkeypatch.setattr(Standardised, "gram", counted)
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    X = rng.normal(size=(N, D)).astype(np.float32)
    X[:, :30] += np.eye(3)[y][:, np.arange(30) % 3]
    blocks = Block("a", "mean", 0, 300), Block("last", "identity", 300, D)
    columns = Columns(blocks, {"all": (0, 1), LINEAR_VIEW: (1,)})
    settings = SearchSettings(fractions=(0.05, 0.1, 0.2), folds=3, repeats=1)
    return search(X, y, columns, settings=settings).choice, made


def test_saves_work_and_changes_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    afresh, more = searched(0.0, monkeypatch)
    kept, less = searched(10.0, monkeypatch)
    assert less == more - 6  # two finalists in three folds
    assert kept["cv_accuracy"] == pytest.approx(afresh["cv_accuracy"], abs=1.5 / N)  # sums in another order
    assert (kept["view"], kept["head"], kept["features"]) == (afresh["view"], afresh["head"], afresh["features"])
