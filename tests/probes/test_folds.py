"""Folds: a partition, stratified, and with groups none on both sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from head2toe.errors import ParameterError
from head2toe.probes.folds import stratified_folds


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    k = draw(st.integers(2, 5))
    sizes = draw(st.lists(st.integers(1, 12), min_size=k, max_size=20))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = draw(st.lists(st.integers(0, 4), min_size=len(groups), max_size=len(groups)))
    return np.asarray(labels), groups, k


@settings(max_examples=100, deadline=None)
@given(labelled_groups(), st.integers(0, 3))
def test_groups_are_never_on_both_sides_and_each_fold_judges_some_rows(
    case: tuple[np.ndarray, np.ndarray, int], seed: int
) -> None:
    y, groups, k = case
    folds = stratified_folds(y, k, groups=groups, repeats=2, random_state=seed)
    for repeat in (folds[:k], folds[k:]):
        assert np.array_equal(np.sort(np.concatenate([fold.held_out for fold in repeat])), np.arange(len(y)))
    for fold in folds:
        assert len(fold.held_out)
        assert not set(groups[fold.train]) & set(groups[fold.held_out])
        assert np.array_equal(np.union1d(fold.train, fold.held_out), np.arange(len(y)))


def test_groups_of_one_class_and_size_are_spread_as_rows_are() -> None:
    y = np.repeat([0, 1, 2], 40)
    groups = np.arange(120) // 4  # 10 of each class
    for fold in stratified_folds(y, 5, groups=groups):
        assert np.bincount(y[fold.held_out]).tolist() == [8, 8, 8]


def test_a_large_group_among_small_ones_leaves_the_other_folds_even() -> None:
    groups = np.concatenate([np.zeros(100, int), 1 + np.arange(100)])
    sizes = sorted(len(fold.held_out) for fold in stratified_folds(np.arange(200) % 2, 5, groups=groups))
    assert sizes == [25, 25, 25, 25, 100]


def test_a_class_of_two_groups_is_learned_in_every_fold() -> None:
    sizes, of_b = [100, 31, 50, 50, 50, 50], [100, 1, 0, 0, 0, 0]
    groups = np.repeat(np.arange(6), sizes)
    y = np.concatenate([np.arange(size) < b for size, b in zip(sizes, of_b, strict=True)]).astype(int)
    for seed in range(5):
        assert all(
            len(np.unique(y[fold.train])) == 2 for fold in stratified_folds(y, 5, groups=groups, random_state=seed)
        )


def test_the_seed_deals_groups_anew() -> None:
    y, groups = np.arange(100) % 2, np.arange(100) // 2
    one, other = (stratified_folds(y, 5, groups=groups, random_state=seed) for seed in (0, 1))
    assert any(set(a.held_out) != set(b.held_out) for a, b in zip(one, other, strict=True))


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(ParameterError, match="3 groups cannot be split into 5 folds"):
        stratified_folds(np.arange(9) % 2, 5, groups=np.arange(9) // 3)
