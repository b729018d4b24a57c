"""Packed symmetric matrices against dense ones."""

from __future__ import annotations

import pytest
import torch

from head2toe.probes.grams import Grams

L, N = 5, 7


@pytest.fixture
def dense() -> torch.Tensor:
    factors = torch.randn(L, N, 4, generator=torch.Generator().manual_seed(0))
    return factors @ factors.transpose(1, 2)


@pytest.fixture
def symmetric() -> torch.Tensor:
    matrix = torch.randn(N, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return matrix + matrix.T


def test_weighted_sum(dense: torch.Tensor) -> None:
    weights = torch.tensor([0.5, 0.0, 2.0, -1.0, 3.0], dtype=torch.float64)
    found = Grams.of(dense).weighted(weights)
    torch.testing.assert_close(found, torch.einsum("b,bij->ij", weights.float(), dense))
    assert found.dtype == torch.float32 and torch.equal(found, found.T)


def test_inner_products(dense: torch.Tensor, symmetric: torch.Tensor) -> None:
    found = Grams.of(dense).inner(symmetric)
    expected = torch.stack([(matrix.double() @ symmetric).trace() for matrix in dense])
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_diagonals(dense: torch.Tensor) -> None:
    torch.testing.assert_close(Grams.of(dense).diagonals(), dense.diagonal(dim1=1, dim2=2))


def test_a_row_of_each(dense: torch.Tensor) -> None:
    for i in range(N):
        torch.testing.assert_close(Grams.of(dense).row(i), dense[:, i])


@pytest.mark.parametrize("places", [(0, 1, 2, 3, 4), (1, 2), (3,), (4, 0, 1, 3), (2, 1)])
def test_some_of_them_in_any_order(dense: torch.Tensor, symmetric: torch.Tensor, places: tuple[int, ...]) -> None:
    some, alone = Grams.of(dense).select(places), Grams.of(dense[list(places)])
    weights = torch.arange(1, len(places) + 1).double()
    assert len(some) == len(places) and some.n == N
    torch.testing.assert_close(some.weighted(weights), alone.weighted(weights))
    torch.testing.assert_close(some.inner(symmetric), alone.inner(symmetric), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(some.diagonals(), alone.diagonals())


def test_a_selection_shares_memory_and_a_matrix_can_be_put_later(dense: torch.Tensor) -> None:
    grams = Grams(L, N)
    some = grams.select((2, 3))
    assert not some.diagonals().any()
    grams.put(3, dense[3])
    torch.testing.assert_close(some.weighted(torch.tensor([5.0, 1.0])), dense[3])
