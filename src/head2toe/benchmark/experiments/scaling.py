"""How columns are scaled before they are scored and used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from head2toe.benchmark.experiments.laboratory import TaskRows
from head2toe.probes.columns import Columns
from head2toe.probes.standardised import Standardised

NONE, UNIT, STANDARDISED, UNIT_STANDARDISED = "none", "unit norm (paper)", "standardised", "unit norm, standardised"
DAMPED = "standardised, damped"


class Scaled(Standardised):
    """Rows that are centred and divided by given numbers; constant features become zero all the same.

    Parameters
    ----------
    X : float32 array (n, d)
    divisors : float32 array (d,)
    """

    def __init__(self, X: np.ndarray, divisors: np.ndarray) -> None:
        self._divisors = divisors
        super().__init__(X)

    def _standardise(self, tile: torch.Tensor, indices: np.ndarray) -> torch.Tensor:
        varies = np.isfinite(self.scale[indices])
        self.scale[indices] = np.where(varies, self._divisors[indices], np.inf)
        return super()._standardise(tile, indices)


def damped_divisors(X: np.ndarray, columns: Columns) -> np.ndarray:
    """``sqrt(variance + mean variance of the block)``, float32 (d,).

    Plain standardisation makes a feature that hardly ever moves, on one image in a thousand say, as loud as any other
    and gives it its whole loudness on that image; it then gets high scores for what it knows by heart. Damped, features
    that move less than their layer does stay quieter.
    """
    variance = X.var(axis=0, dtype=np.float64)
    out = np.empty(X.shape[1])
    for block in columns.blocks:
        own = variance[block.start : block.stop]
        out[block.start : block.stop] = np.sqrt(own + own.mean())
    return np.where(out > 0, out, 1).astype(np.float32)


def unit_norm(X: np.ndarray, columns: Columns) -> np.ndarray:
    """Divide each block of each row by its l2 norm; a zero block stays zero."""
    out = X.copy()
    for block in columns.blocks:
        part = out[:, block.start : block.stop]
        norm = np.linalg.norm(part, axis=1, keepdims=True)
        np.divide(part, norm, out=part, where=norm > 0)
    return out


def _unit(rows: TaskRows) -> TaskRows:
    return replace(rows, train=unit_norm(rows.train, rows.columns), test=unit_norm(rows.test, rows.columns))


def _centred(rows: TaskRows) -> Standardised:
    return Scaled(rows.train, np.ones(rows.train.shape[1], np.float32))


def _standardised(rows: TaskRows) -> Standardised:
    return Standardised(rows.train)


def damped(rows: TaskRows) -> Standardised:
    """Scale rows the way that all experiments do but the one on scaling."""
    return Scaled(rows.train, damped_divisors(rows.train, rows.columns))


def _same(rows: TaskRows) -> TaskRows:
    return rows


Scaling = Callable[[TaskRows], Standardised]

SCALINGS: dict[str, tuple[Callable[[TaskRows], TaskRows], Scaling]] = {
    NONE: (_same, _centred),
    UNIT: (_unit, _centred),
    STANDARDISED: (_same, _standardised),
    UNIT_STANDARDISED: (_unit, _standardised),
    DAMPED: (_same, damped),
}
"""Name -> what is done to each row, and how its columns are scaled then."""
