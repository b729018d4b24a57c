"""The pool of the group lasso: columns of X that may join the working set before X is read again."""

from __future__ import annotations

import torch

from head2toe.probes.datafits import Dual
from head2toe.probes.design import Design
from head2toe.probes.penalty import GroupPenalty, column_norms, dual_value
from head2toe.probes.working_set import WorkingSet

_PROMISING = 0.5  # of its level: a column that correlated less at the last pass seldom joins before the next


class Pool:
    """Columns outside the working set, those that correlated most with the residual at the last pass over X.

    A pass costs n d c multiply-adds, and most columns that join after it were near the top of the one before. On a
    pool of a few thousand their turn comes without another pass.

    Parameters
    ----------
    design : Design
    penalty : GroupPenalty of all d rows
    ratio : Tensor (d,) float64
        ``||X_j' theta|| / level_j``, zero for columns that are not to be in the pool.
    most : int
        Columns at most.
    """

    def __init__(self, design: Design, penalty: GroupPenalty, ratio: torch.Tensor, most: int) -> None:
        count = min(most, int((ratio > _PROMISING).sum()))
        self.indices = torch.topk(ratio, count).indices.sort().values
        self._design, self._penalty = design, penalty
        self._gathered: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def gathered(self) -> torch.Tensor:
        """The columns, (n, k), taken from X when they are first asked for."""
        if self._gathered is None:
            self._gathered = self._design.columns(self.indices)
        return self._gathered

    def look(self, working: WorkingSet, dual: Dual) -> tuple[float, torch.Tensor]:
        """Dual objective of the problem of working set and pool, and each ratio in the pool, zero where it has joined.

        Parameters
        ----------
        working : WorkingSet
        dual : MultinomialDual or SquaredDual
            At the working set's solution.

        Returns
        -------
        float, Tensor (k,) float64
        """
        theta = dual.point().to(working.X.dtype)
        norms = torch.cat([column_norms(theta @ self.gathered()), column_norms(theta @ working.X)]).cpu()
        both = self._penalty.at(torch.cat([self.indices, working.indices]))
        ratio = norms[: len(self)] / both.levels[: len(self)]
        ratio[torch.isin(self.indices, working.indices)] = 0
        return dual_value(dual, both, norms), ratio

    def columns(self, places: torch.Tensor) -> torch.Tensor:
        """Columns at `places` of the pool, an own copy."""
        return self.gathered().index_select(1, places.to(self._design.device))
