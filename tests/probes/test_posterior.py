"""The posterior under learned layer weights: a weighted ridge regression, whatever stands beside the useful blocks."""

from __future__ import annotations

import numpy as np
import torch

from head2toe.probes.grams import Grams
from head2toe.probes.layer_weights import learn_layer_weights

N, M, C, WIDTHS = 60, 45, 3, (5, 40, 40)
TRAIN, ONE = np.arange(M), torch.ones(M, dtype=torch.float64)


def problem(offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Gram matrices (3, N, N) of three blocks; the last two make the targets (M, C), the second may lie off."""
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(N, width)) for width in WIDTHS]
    signal = np.hstack(blocks[1:]) @ rng.normal(size=(sum(WIDTHS[1:]), C))
    blocks[1] += offset
    targets = torch.from_numpy((signal + 0.5 * signal.std() * rng.normal(size=(N, C)))[:M])
    return torch.from_numpy(np.stack([b @ b.T for b in blocks])), targets


def test_alpha_is_that_of_a_ridge_regression_with_the_sample_weights() -> None:
    """``y - K alpha = s alpha / v``: no row has another s, all being centred on the weighted mean."""
    grams, targets = problem(offset=0.3)
    weight = torch.from_numpy(np.random.default_rng(1).uniform(0.2, 3, M))
    found = learn_layer_weights(Grams.of(grams), TRAIN, targets, weight)
    p = weight / weight.sum()
    kernel = torch.einsum("b,bij->ij", found.importance, grams)[:M, :M]
    centring = torch.eye(M, dtype=torch.float64) - p  # its transpose centres rows
    kernel = centring @ kernel @ centring.T
    alpha = found.alpha[:M]
    columns = torch.stack([(kernel @ alpha).flatten(), (alpha / weight[:, None]).flatten()], dim=1)
    y = (targets - p @ targets).flatten()
    fit = columns @ torch.linalg.lstsq(columns, y).solution
    torch.testing.assert_close(fit, y, rtol=1e-3, atol=1e-3)
    assert alpha.sum(dim=0).abs().max() < 1e-6 * alpha.abs().max() * M


def test_the_kernel_has_a_mean_diagonal_of_one_on_the_training_rows() -> None:
    grams, targets = problem()
    importance = learn_layer_weights(Grams.of(grams), TRAIN, targets, ONE).importance
    diagonal = grams.diagonal(dim1=1, dim2=2)[:, :M].mean(dim=1)
    torch.testing.assert_close(importance @ diagonal, torch.tensor(1.0, dtype=torch.float64))


def test_where_features_lie_does_not_matter_in_the_end() -> None:
    """Only centred kernels have a say in the fixed point."""
    shares = []
    for offset in (0.0, 1.0):
        grams, targets = problem(offset)
        importance = learn_layer_weights(Grams.of(grams), TRAIN, targets, ONE, rounds=300).importance
        shares.append(importance / importance.sum())
    torch.testing.assert_close(shares[1], shares[0], rtol=0.02, atol=1e-3)


def test_a_block_of_constants_changes_nothing() -> None:
    grams, targets = problem()
    plain = learn_layer_weights(Grams.of(grams), TRAIN, targets, ONE)
    beside = learn_layer_weights(Grams.of([*grams, torch.zeros(N, N)]), TRAIN, targets, ONE)
    torch.testing.assert_close(beside.importance[:3], plain.importance, rtol=1e-3, atol=0)
    torch.testing.assert_close(beside.alpha, plain.alpha, rtol=1e-3, atol=1e-4)
    assert beside.importance[3] == 0


def test_a_common_part_of_all_targets_tells_nothing() -> None:
    grams, targets = problem()
    plain, moved = (
        learn_layer_weights(Grams.of(grams), TRAIN, targets + shift, ONE) for shift in (0.0, 10 * float(targets.std()))
    )
    torch.testing.assert_close(moved.importance, plain.importance, rtol=1e-3, atol=0)
    torch.testing.assert_close(moved.alpha, plain.alpha, rtol=1e-3, atol=1e-4)
