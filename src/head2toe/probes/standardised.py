"""The feature matrix, standardised on the fly and read in column chunks, so that it may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

CHUNK_BYTES = 16 * 2**20
CONSTANT = 1e-6  # a spread below this share of the largest magnitude is rounding, not signal


class Standardised:
    """Rows (n, d) with every column centred and divided by its standard deviation over all n rows.

    The scale uses no label and is the same in every fold; centring is repeated exactly inside each fold, on the
    fold's own images (`kernels.centre`). Constant columns become zero. Nothing of size (n, d) is held unless the
    caller's array already is.

    Parameters
    ----------
    X : array or memmap of shape (n, d), float32 or float64
    weight : array of shape (n,) or None
        Sample weights of the mean and the variance.
    """

    def __init__(self, X: np.ndarray, weight: np.ndarray | None = None) -> None:
        self.X = X
        self.n, self.d = X.shape
        share = np.full(self.n, 1 / self.n) if weight is None else np.asarray(weight, np.float64) / np.sum(weight)
        self.mean, self.scale = self._moments(share)

    def _moments(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, scale = np.empty(self.d, np.float32), np.empty(self.d, np.float32)
        for start, stop in self.chunks():
            part = np.asarray(self.X[:, start:stop], np.float64)
            centre = share @ part
            spread = np.sqrt(share @ (part - centre) ** 2)
            largest = np.abs(part).max(axis=0, initial=0)
            mean[start:stop] = centre
            scale[start:stop] = np.where(spread > CONSTANT * largest, spread, np.inf)
        return mean, scale

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Column ranges of at most `CHUNK_BYTES` that cover ``start:stop``."""
        stop = self.d if stop is None else stop
        step = max(1, CHUNK_BYTES // (4 * self.n))
        for first in range(start, stop, step):
            yield first, min(first + step, stop)

    def range(self, start: int, stop: int) -> torch.Tensor:
        """Standardised columns ``start:stop``, float32 (n, stop - start)."""
        part = np.subtract(self.X[:, start:stop], self.mean[start:stop], dtype=np.float32)
        part /= self.scale[start:stop]
        return torch.from_numpy(part)

    def gram(
        self,
        indices: np.ndarray,
        importance: np.ndarray | None = None,
        *,
        out: torch.Tensor | None = None,
        of: np.ndarray | None = None,
    ) -> torch.Tensor:
        """Add ``sum_j eta_j z_j z_j'`` over ascending `indices` to `out` (a new zero matrix where None).

        float32 (n, n), or (a, a) between the rows `of` alone; eta (K,) is one where `importance` is None.
        """
        size = self.n if of is None else len(of)
        total = torch.zeros(size, size) if out is None else out
        step = max(1, CHUNK_BYTES // (4 * self.n))
        for first in range(0, len(indices), step):
            z = self.pick(indices[first : first + step])
            z = z if of is None else z[torch.from_numpy(of)]
            if importance is not None:
                z *= torch.from_numpy(np.sqrt(importance[first : first + step]).astype(np.float32))
            total.addmm_(z, z.T)
        return total

    def pick(self, indices: np.ndarray) -> torch.Tensor:
        """Standardised columns at `indices`, ascending, float32 (n, K)."""
        first, last = int(indices[0]), int(indices[-1]) + 1
        if last - first == len(indices):
            return self.range(first, last)
        part = np.take(self.X[:, first:last], indices - first, axis=1).astype(np.float32, copy=False)
        part -= self.mean[indices]
        part /= self.scale[indices]
        return torch.from_numpy(part)

    def project(self, indices: np.ndarray, dual: torch.Tensor) -> torch.Tensor:
        """``Z' alpha`` at `indices`: float32 (K, c) from dual coefficients (n, c)."""
        out = torch.empty(len(indices), dual.shape[1])
        dual = dual.float()
        step = max(1, CHUNK_BYTES // (4 * self.n))
        for first in range(0, len(indices), step):
            out[first : first + step] = self.pick(indices[first : first + step]).T @ dual
        return out
