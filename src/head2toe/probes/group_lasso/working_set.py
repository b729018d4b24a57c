"""The reduced problem of the group lasso: some columns of X, their coefficients and the intercept."""

from __future__ import annotations

import torch

from head2toe.errors import NotFiniteError
from head2toe.probes.group_lasso.datafits import Datafit

_LARGEST = 1e17  # sums of squares stay within float32


class WorkingSet:
    """Columns, coefficients and intercept of the reduced problem.

    With an intercept the columns are centred by their weighted mean, which changes the intercept alone and makes the
    Newton systems well conditioned; `intercept` belongs to the centred columns.

    Attributes
    ----------
    indices : Tensor (k,) int64, on the CPU
    X : Tensor (n, k)
    mean : Tensor (k,) float64
        What was taken from the columns.
    W : Tensor (c, k)
    intercept : Tensor (c,) float64
    """

    def __init__(self, datafit: Datafit, fit_intercept: bool, n: int, device: torch.device) -> None:
        self.datafit, self.fit_intercept = datafit, fit_intercept
        self.indices = torch.empty(0, dtype=torch.int64)
        self.X = torch.empty(n, 0, dtype=datafit.dtype, device=device)
        self.mean = torch.empty(0, dtype=torch.float64, device=device)
        self.W = torch.empty(datafit.outputs, 0, dtype=datafit.dtype, device=device)
        self.intercept = torch.zeros(datafit.outputs, dtype=torch.float64, device=device)
        self._solved = False

    def extend(self, indices: torch.Tensor, columns: torch.Tensor, W: torch.Tensor | None = None) -> None:
        """Add columns (n, k) with coefficients W (c, k), zero where None.

        Raises
        ------
        NotFiniteError
            Their squares are beyond float32, in which the Newton systems are set up.
        """
        _check_size(columns)
        mean = torch.zeros(columns.shape[1], dtype=torch.float64, device=columns.device)
        if self.fit_intercept:
            mean = (self.datafit.p64 @ columns.double())[0]
            columns = (columns.double() - mean).to(columns.dtype)
        if W is None:
            W = self.W.new_zeros(len(self.W), len(indices))
        self.indices = torch.cat([self.indices, indices])
        self.X = torch.cat([self.X, columns], dim=1)
        self.mean = torch.cat([self.mean, mean])
        self.W = torch.cat([self.W, W.to(self.W)], dim=1)

    def prune(self) -> None:
        """Drop the columns whose coefficients are zero."""
        kept = torch.nonzero(self.support)[:, 0]
        if len(kept) == len(self.indices):
            return
        self.indices = self.indices[kept.cpu()]
        self.X, self.W = self.X.index_select(1, kept), self.W.index_select(1, kept)
        self.mean = self.mean[kept]

    def predictions(self) -> torch.Tensor:
        """``(X W + b)'``, float64 (c, n), after the intercept has been solved exactly."""
        Z = self.W @ self.X.T
        if self.fit_intercept:
            self.intercept = self.datafit.intercept(Z, self.intercept if self._solved else None)
            self._solved = True
        return Z.double() + self.intercept[:, None]

    @property
    def support(self) -> torch.Tensor:
        """Which coefficients are not zero, bool (k,)."""
        return self.W.abs().amax(dim=0) > 0 if self.W.shape[1] else torch.empty(0, dtype=torch.bool)


def _check_size(columns: torch.Tensor) -> None:
    largest = float(columns.abs().max()) if columns.numel() else 1.0
    fits = 1 / _LARGEST < largest < _LARGEST
    if not fits and largest > 0:
        raise NotFiniteError(f"X holds features up to {largest:.0e}, whose squares overflow or vanish: rescale them")
