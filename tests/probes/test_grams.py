"""Packed symmetric matrices against dense ones."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from head2toe.probes.grams import Grams
from head2toe.probes.scratch import Scratch

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
    several = torch.stack([symmetric, symmetric @ symmetric])
    found = Grams.of(dense).inner(several)
    expected = torch.stack([torch.stack([(one.double() @ M).trace() for one in dense]) for M in several])
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
    several = symmetric[None]
    torch.testing.assert_close(some.inner(several), alone.inner(several), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(some.diagonals(), alone.diagonals())


@pytest.mark.parametrize("most", [1, 2, L])
def test_in_a_scratch_file_they_are_the_same(
    dense: torch.Tensor, symmetric: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Of which memory holds so many at a time."""
    monkeypatch.setattr("head2toe.probes.grams.PART_BYTES", 4 * most * N * (N + 1) // 2)
    found, expected = Grams(lambda: dense, L, N, tmp_path), Grams.of(dense)
    assert isinstance(found._packed, Scratch) and isinstance(expected._packed, torch.Tensor)
    for places in (range(L), (4, 0, 1, 3), (2,)):
        one, other = found.select(places), expected.select(places)
        weights, several = torch.arange(1, len(places) + 1).double(), torch.stack([symmetric, symmetric @ symmetric])
        torch.testing.assert_close(one.weighted(weights), other.weighted(weights))
        torch.testing.assert_close(one.inner(several), other.inner(several))
        assert torch.equal(one.diagonals(), other.diagonals()) and torch.equal(one.row(3), other.row(3))


def test_a_disk_that_fills_up_costs_nothing_but_memory(
    dense: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, tiles: Iterable[torch.Tensor], n: int) -> None:
        next(iter(tiles))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("head2toe.probes.scratch.Scratch", full)
    found = Grams(lambda: dense, L, N, tmp_path)
    assert torch.equal(found.diagonals(), Grams.of(dense).diagonals())
