"""A feature matrix as the group-lasso solver reads it: as given, in column chunks, from memory, a memmap or a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from head2toe.probes.group_lasso.penalty import column_norms

CHUNK_BYTES = 64 * 2**20


class Design:
    """Columns of an (n, d) matrix in one dtype and on one device; nothing of size (n, d) is ever copied.

    Parameters
    ----------
    X : array, memmap or Tensor of shape (n, d), float
        A tensor is worked on where it lies; an array on the CPU.
    dtype : torch.dtype
        float32 or float64; other columns are converted chunk by chunk.
    """

    def __init__(self, X: np.ndarray | torch.Tensor, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.n, self.d = X.shape
        # A memmap is copied chunk by chunk: pages of a view would be counted, and read, again and again.
        plain = isinstance(X, np.ndarray) and not isinstance(X, np.memmap) and X.flags.writeable
        self.X = torch.from_numpy(X) if plain else X
        self.device = self.X.device if isinstance(self.X, torch.Tensor) else torch.device("cpu")

    def columns(self, indices: torch.Tensor) -> torch.Tensor:
        """Columns at `indices` (k,), int64: an own copy, (n, k)."""
        if isinstance(self.X, torch.Tensor):
            return self.X.index_select(1, indices.to(self.device)).to(self.dtype)
        part = np.take(self.X, indices.cpu().numpy(), axis=1)
        return torch.from_numpy(np.ascontiguousarray(part)).to(self.dtype)

    def chunks(self) -> Iterator[tuple[int, torch.Tensor]]:
        """First column and block (n, k) of each chunk, in order."""
        step = max(1, CHUNK_BYTES // (8 * self.n))
        for first in range(0, self.d, step):
            part = self.X[:, first : first + step]
            if isinstance(part, np.ndarray):
                part = torch.from_numpy(np.array(part))
            yield first, part.to(self.dtype)

    def correlations(self, residual: torch.Tensor) -> torch.Tensor:
        """``||X_j' R||_2`` of every column j, float64 (d,) on the CPU, for R' of shape (c, n): one pass over X."""
        residual = residual.to(self.device, self.dtype)
        out = torch.empty(self.d, dtype=torch.float64)
        for first, part in self.chunks():
            out[first : first + part.shape[1]] = column_norms(residual @ part).cpu()
        return out
