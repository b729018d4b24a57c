"""Many symmetric matrices at once, each kept as its upper triangle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path

import torch

from head2toe.probes.scratch import Scratch, scratch_file

PART_BYTES = 64 * 2**20  # of the matrices that are worked on at a time: of a scratch file memory holds no more


class Grams:
    """L symmetric n x n matrices in float32, L n (n + 1) / 2 numbers.

    Parameters
    ----------
    matrices : callable() -> iterable of Tensor (n, n)
        All of them, in order; called again where a disk turns out to be full.
    count : int
        L.
    n : int
    folder : path, optional
        Of the scratch file that keeps them; None: memory does.
    """

    def __init__(
        self, matrices: Callable[[], Iterable[torch.Tensor]], count: int, n: int, folder: Path | None = None
    ) -> None:
        self.n = n
        row, column = torch.triu_indices(n, n)
        self._place = row * n + column
        self._diagonal = torch.arange(n) * n - torch.arange(n) * (torch.arange(n) - 1) // 2
        self._packed = self._kept(matrices, count, folder)
        self._spans = [(0, count)]

    @classmethod
    def of(cls, matrices: Iterable[torch.Tensor]) -> Grams:
        """Pack matrices (n, n)."""
        found = list(matrices)
        return cls(lambda: found, len(found), len(found[0]))

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self._spans)

    def _kept(
        self, matrices: Callable[[], Iterable[torch.Tensor]], count: int, folder: Path | None
    ) -> Scratch | torch.Tensor:
        """All packed, (L, n (n + 1) / 2)."""

        def packed() -> Iterator[torch.Tensor]:
            return (matrix.float().flatten()[self._place] for matrix in matrices())

        width = len(self._place)
        on_disk = scratch_file(folder, packed, count, width)
        if on_disk is not None:
            return on_disk
        held = torch.empty(count, width)
        for one, found in zip(held, packed(), strict=True):
            one.copy_(found)
        return held

    def select(self, places: Sequence[int]) -> Grams:
        """Some of the matrices, in this order; shares their memory."""
        chosen: Grams = copy(self)
        chosen._spans = list(_runs(places))
        return chosen

    def weighted(self, weights: torch.Tensor) -> torch.Tensor:
        """``sum_b w_b G_b``, float32 (n, n)."""
        packed, left = torch.zeros(len(self._place)), weights.float()
        for part in self._parts():
            packed.addmv_(part.T, left[: len(part)])
            left = left[len(part) :]
        return self._unpacked(packed)

    def inner(self, matrices: torch.Tensor) -> torch.Tensor:
        """``tr(G_b M_k)`` for symmetric M_k, (k, n, n): float64 (k, L)."""
        packed = 2 * matrices.float().flatten(1)[:, self._place]
        packed[:, self._diagonal] /= 2
        return torch.cat([packed @ part.T for part in self._parts()], dim=1).double()

    def diagonals(self) -> torch.Tensor:
        """Diagonals, float32 (L, n)."""
        return torch.cat([part[:, self._diagonal] for part in self._parts()])

    def row(self, i: int) -> torch.Tensor:
        """Row i of each, float32 (L, n)."""
        other = torch.arange(self.n)
        above, below = other.clamp_max(i), other.clamp_min(i)
        places = self._diagonal[above] + below - above
        return torch.cat([part[:, places] for part in self._parts()])

    def _parts(self) -> Iterator[torch.Tensor]:
        """The matrices in order, packed (some, n (n + 1) / 2); each part may be gone when the next is there."""
        most = max(1, PART_BYTES // (4 * len(self._place)))
        for start, stop in self._spans:
            for first in range(start, stop, most):
                yield self._packed[first : min(first + most, stop)]

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
