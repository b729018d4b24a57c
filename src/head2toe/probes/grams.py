"""Many symmetric matrices at once, each kept as its upper triangle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy

import torch


class Grams:
    """L symmetric n x n matrices in float32, L n (n + 1) / 2 numbers.

    Parameters
    ----------
    count : int
        L.
    n : int
    """

    def __init__(self, count: int, n: int) -> None:
        self.n = n
        row, column = torch.triu_indices(n, n)
        self._place = row * n + column
        self._diagonal = torch.arange(n) * n - torch.arange(n) * (torch.arange(n) - 1) // 2
        self._packed = torch.zeros(count, len(self._place))
        self._spans = [(0, count)]

    @classmethod
    def of(cls, matrices: Iterable[torch.Tensor]) -> Grams:
        """Pack matrices (n, n)."""
        found = list(matrices)
        grams = cls(len(found), len(found[0]))
        for i, matrix in enumerate(found):
            grams.put(i, matrix)
        return grams

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self._spans)

    def put(self, i: int, matrix: torch.Tensor) -> None:
        """Set one matrix (n, n)."""
        torch.index_select(matrix.float().flatten(), 0, self._place, out=self._packed[i])

    def select(self, places: Sequence[int]) -> Grams:
        """Some of the matrices, in this order; shares their memory."""
        chosen: Grams = copy(self)
        chosen._spans = list(_runs(places))
        return chosen

    def weighted(self, weights: torch.Tensor) -> torch.Tensor:
        """``sum_b w_b G_b``, float32 (n, n)."""
        parts = weights.float().split([stop - start for start, stop in self._spans])
        packed = torch.zeros(self._packed.shape[1])
        for (start, stop), part in zip(self._spans, parts, strict=True):
            packed.addmv_(self._packed[start:stop].T, part)
        return self._unpacked(packed)

    def inner(self, matrix: torch.Tensor) -> torch.Tensor:
        """``tr(G_b M)`` for a symmetric M (n, n), float64 (L,)."""
        packed = 2 * matrix.float().flatten()[self._place]
        packed[self._diagonal] /= 2
        return torch.cat([self._packed[start:stop].mv(packed) for start, stop in self._spans]).double()

    def diagonals(self) -> torch.Tensor:
        """Diagonals, float32 (L, n)."""
        return torch.cat([self._packed[start:stop][:, self._diagonal] for start, stop in self._spans])

    def row(self, i: int) -> torch.Tensor:
        """Row i of each, float32 (L, n)."""
        other = torch.arange(self.n)
        above, below = other.clamp_max(i), other.clamp_min(i)
        places = self._diagonal[above] + below - above
        return torch.cat([self._packed[start:stop][:, places] for start, stop in self._spans])

    def _unpacked(self, packed: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(self.n, self.n)
        out.view(-1)[self._place] = packed
        diagonal = out.diagonal().clone()
        out += out.T.clone()
        out.diagonal().copy_(diagonal)
        return out


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Consecutive numbers as spans, so that no matrix is copied."""
    start = 0
    for i in range(1, len(places) + 1):
        if i == len(places) or places[i] != places[i - 1] + 1:
            yield places[start], places[i - 1] + 1
            start = i
