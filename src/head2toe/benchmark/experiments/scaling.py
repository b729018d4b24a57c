"""How columns are scaled before they are scored and used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from head2toe.benchmark.experiments.laboratory import TaskRows
from head2toe.probes.columns import Columns
from head2toe.probes.standardised import Standardised

NONE, UNIT, STANDARDISED, UNIT_STANDARDISED = "none", "unit norm (paper)", "standardised", "unit norm, standardised"
DAMPED = "standardised, damped"


class Centred(Standardised):
    """Rows that are centred and keep their scale; constant features become zero all the same.

    Parameters
    ----------
    X : float32 array (n, d)
    """

    def _rescale(self) -> None:
        self.scale[np.isfinite(self.scale)] = 1.0


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
    return Centred(rows.train)


def _standardised(rows: TaskRows) -> Standardised:
    return Standardised(rows.train)


def damped(rows: TaskRows) -> Standardised:
    """Scale rows as the library does: ``sqrt(variance + mean variance of the block)``."""
    return Standardised(rows.train, None, rows.columns.spans())


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
