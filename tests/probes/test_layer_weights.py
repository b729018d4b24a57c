"""Layer weights: the likelihood rises, its gradient is right, and the layer that knows is heard."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from head2toe.probes.grams import Grams
from head2toe.probes.layer_weights import learn_layer_weights

N, C, WIDTHS = 60, 3, (5, 40, 40)


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    """Three blocks of features, of which the second makes the targets."""
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(N, width)) for width in WIDTHS]
    signal = blocks[1] @ rng.normal(size=(WIDTHS[1], C))
    targets = torch.from_numpy(signal + 0.5 * signal.std() * rng.normal(size=(N, C)))
    return torch.from_numpy(np.stack([b @ b.T for b in blocks])), targets


def test_the_block_that_made_the_targets_is_loudest() -> None:
    grams, targets = problem()
    learned = learn_layer_weights(Grams.of(grams), np.arange(N), targets, torch.ones(N, dtype=torch.float64))
    shares = learned.importance * torch.tensor(WIDTHS)
    assert shares.argmax() == 1 and shares[1] / shares.sum() > 0.8


def log_marginal_likelihood(kernel: torch.Tensor, targets: torch.Tensor, noise: float) -> torch.Tensor:
    """``log N(Y; 0, kernel + noise I)`` summed over the columns of Y (m, c): what `learn_layer_weights` increases."""
    m, c = targets.shape
    factor = torch.linalg.cholesky(kernel + noise * torch.eye(m, dtype=kernel.dtype))
    fit = (torch.linalg.solve_triangular(factor, targets, upper=False) ** 2).sum()
    return -0.5 * fit - c * factor.diagonal().log().sum() - 0.5 * m * c * np.log(2 * np.pi)


def test_more_rounds_never_lower_the_likelihood() -> None:
    grams, targets = problem()
    everything, one = np.arange(N), torch.ones(N, dtype=torch.float64)
    centred = targets - targets.mean(dim=0)
    centred = centred / centred.square().mean().sqrt()
    hat = torch.eye(N, dtype=torch.float64) - 1 / N
    grams = hat @ grams @ hat
    values = []
    for rounds in (3, 5, 10, 40):
        w = learn_layer_weights(Grams.of(grams), everything, targets, one, rounds=rounds).importance
        kernel = torch.einsum("b,bij->ij", w, grams)
        best = max(float(log_marginal_likelihood(kernel, centred, s)) for s in np.geomspace(1e-3, 1, 60))
        values.append(best)
    assert all(later > earlier - 0.5 for earlier, later in pairwise(values))
    equal = torch.einsum("b,bij->ij", 1 / (3 * grams.diagonal(dim1=1, dim2=2).mean(1)), grams)
    assert values[0] > max(float(log_marginal_likelihood(equal, centred, s)) for s in np.geomspace(1e-3, 1, 60))


def test_gradient_of_the_likelihood_equals_finite_differences() -> None:
    grams, targets = problem()
    w = torch.tensor([0.01, 0.02, 0.005], dtype=torch.float64)

    def value(weights: torch.Tensor) -> torch.Tensor:
        return log_marginal_likelihood(torch.einsum("b,bij->ij", weights, grams), targets, 0.3)

    inverse = torch.linalg.inv(torch.einsum("b,bij->ij", w, grams) + 0.3 * torch.eye(N, dtype=torch.float64))
    alpha = inverse @ targets
    # The two traces whose ratio drives the updates: the gradient is half their difference.
    explained = torch.stack([(alpha * (g @ alpha)).sum() for g in grams])
    expected = torch.stack([C * (inverse * g).sum() for g in grams])
    for b in range(len(w)):
        step = torch.zeros(3, dtype=torch.float64)
        step[b] = 1e-6
        numeric = (value(w + step) - value(w - step)) / 2e-6
        torch.testing.assert_close(0.5 * (explained - expected)[b], numeric, rtol=1e-5, atol=1e-6)


def test_labels_that_the_features_hold_exactly_are_no_hindrance() -> None:
    """The noise falls far below the errors of float32 kernels then."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, 200)
        columns = torch.from_numpy(np.stack([y, *(rng.random((3, 200)) < 0.4)], axis=1)).float()
        columns = (columns - columns.mean(dim=0)) / columns.std(dim=0)
        grams = Grams.of([columns[:, j : j + 1] @ columns[:, j : j + 1].T for j in range(4)])
        targets = torch.nn.functional.one_hot(torch.from_numpy(y), 2).double()
        found = learn_layer_weights(grams, np.arange(200), targets, torch.ones(200, dtype=torch.float64))
        assert bool(torch.isfinite(found.importance).all()) and int(found.importance.argmax()) == 0


def test_only_training_rows_count() -> None:
    grams, targets = problem()
    train, one = np.arange(45), torch.ones(45, dtype=torch.float64)
    first = learn_layer_weights(Grams.of(grams), train, targets[:45], one)
    spoilt = grams.clone()
    spoilt[:, 45:] = 7
    spoilt[:, :, 45:] = 7
    second = learn_layer_weights(Grams.of(spoilt), train, targets[:45], one)
    torch.testing.assert_close(first.importance, second.importance)
    assert not first.alpha[45:].any()


def test_a_block_that_only_an_outlier_held_out_makes_vary_has_no_weight() -> None:
    """Rounding is all that it says of the training rows, and its weight would run to infinity."""
    grams, targets = problem()
    train, one = np.arange(45), torch.ones(45, dtype=torch.float64)
    alone = learn_layer_weights(Grams.of(grams[1:]), train, targets[:45], one)
    for seed in range(10):
        X = np.random.default_rng(seed).normal(size=(N, WIDTHS[0]))
        X[50] = -1e6
        X = torch.from_numpy((X - X.mean(axis=0)) / X.std(axis=0)).float()
        found = learn_layer_weights(Grams.of([X @ X.T, *grams[1:]]), train, targets[:45], one)
        assert found.importance[0] == 0
        torch.testing.assert_close(found.importance[1:], alone.importance, rtol=1e-2, atol=0)
