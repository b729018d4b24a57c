"""The intercept that minimises a loss, wherever it starts and however large the logits are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from head2toe.probes.group_lasso.datafits import Multinomial


def balanced(n: int, classes: int) -> Multinomial:
    share = torch.full((n,), 1 / n, dtype=torch.float64)
    return Multinomial(torch.arange(n) % classes, classes, share, torch.float64)


def slope(loss: Multinomial, Z: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (loss.p64 * (torch.softmax(Z + b[:, None], dim=0) - loss.target64)).sum(dim=1)


@pytest.mark.parametrize("distance", [1.0, 10.0, 100.0, 1e6])
def test_a_far_start_is_no_harm(distance) -> None:
    loss, start = balanced(60, 3), distance * torch.tensor([-1.0, 2.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(loss.intercept(torch.zeros(3, 60, dtype=torch.float64), start), 0 * start)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e3, 1e5])
@pytest.mark.parametrize("seed", range(3))
def test_large_logits_are_balanced_too(size, seed) -> None:
    loss = balanced(60, 3)
    Z = size * torch.randn(3, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    b = loss.intercept(Z)
    assert slope(loss, Z, b).abs().max() < 1e-10

    def value(x: np.ndarray) -> float:
        return loss.value(Z + torch.from_numpy(x)[:, None])

    theirs = minimize(value, b.numpy(), method="Nelder-Mead", options={"xatol": 1e-9 * size, "fatol": 0})
    assert loss.value(Z + b[:, None]) <= theirs.fun * (1 + 1e-12)


def test_the_intercept_is_the_same_each_time():
    """Whatever was in memory before: a solver that pivots from unset memory answers in other last digits."""
    generator = torch.Generator().manual_seed(0)
    Z, y = torch.randn(12, 60, generator=generator, dtype=torch.float64), torch.arange(60) % 12
    datafit, found, kept = Multinomial(y, 12, torch.full((60,), 1 / 60), torch.float64), set(), []
    for _ in range(100):
        found.add(datafit.intercept(Z).numpy().tobytes())
        kept = [torch.randint(0, 100, (12,), generator=generator) for _ in range(3)]
    assert len(kept) == 3
    assert len(found) == 1
