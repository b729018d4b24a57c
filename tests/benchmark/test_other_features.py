"""Pieces of the ablation that the search does not have: transforms of features, and layers left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.layer_choices import best, strongest
from benchmarks.transforms import AS_IT_IS, grams

TRAIN = np.arange(40)


@pytest.fixture(scope="module")
def z():
    generator = torch.Generator().manual_seed(0)
    made = torch.randn(6, 50, generator=generator, dtype=torch.float64)
    made[5] = 0.0  # a constant feature
    return made


def test_what_is_made_of_features_has_the_share_of_their_variance(z):
    root = torch.linspace(0.5, 2.0, 6, dtype=torch.float64)
    found = grams(z, root, TRAIN)
    centred = z[:, TRAIN] - z[:, TRAIN].mean(dim=1, keepdim=True)
    variance = float((centred * root[:, None]).square().sum())
    for name, share, parts in (("squares", 0.3, 1), ("squares", 1.0, 1), ("thresholds", 0.3, 2)):
        beside = found[f"with {name}, {share:g}"] - found[AS_IT_IS]
        assert float(beside.diagonal()[TRAIN].sum()) == pytest.approx(share * parts * variance)


def test_held_out_rows_move_no_scale(z):
    root, other = torch.ones(6, dtype=torch.float64), z.clone()
    other[:, 40:] *= 100
    before, after = grams(z, root, TRAIN), grams(other, root, TRAIN)
    for name in before:
        torch.testing.assert_close(before[name][:40, :40], after[name][:40, :40])


def test_a_square_tells_what_no_linear_feature_can(z):
    """Two features with one square are alike in it, and opposite as they are."""
    pair = torch.stack([z[0], -z[0]], dim=1).reshape(1, -1)  # every value beside its negative
    found = grams(pair, torch.ones(1, dtype=torch.float64), np.arange(pair.shape[1]))
    beside = found["with squares, 1"] - found[AS_IT_IS]
    torch.testing.assert_close(beside[0::2], beside[1::2])
    torch.testing.assert_close(found[AS_IT_IS][0::2], -found[AS_IT_IS][1::2])


@pytest.mark.parametrize(("share", "kept"), [(1.0, "abc"), (0.9, "ab"), (0.5, "a"), (0.01, "a")])
def test_the_strongest_layers_are_the_fewest_that_reach_the_share(share, kept):
    layers, part = ["a", "b", "a", "c"], np.array([40.0, 35.0, 20.0, 5.0])  # a: 60 of 100
    chosen = strongest(part, layers, share)
    assert {layer for layer, there in zip(layers, chosen, strict=True) if there} == set(kept)
    assert chosen.tolist() == [layer in kept for layer in layers]  # all blocks of a layer, or none


def test_the_best_are_as_many_as_of_all_where_so_many_are_allowed():
    scores, allowed = np.array([9.0, 1.0, 8.0, 2.0, 7.0, 3.0]), np.array([1, 3, 4, 5])
    assert best(scores, allowed, 1 / 3).tolist() == [4, 5]
    assert best(scores, allowed, 1.0).tolist() == [1, 3, 4, 5]
