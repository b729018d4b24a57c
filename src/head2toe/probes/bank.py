"""The Gram bank: one n x n Gram matrix a block, computed once; every fold and every weighted sum comes from it."""

from __future__ import annotations

import numpy as np
import torch

from head2toe.probes.columns import Columns
from head2toe.probes.standardised import Standardised

MOST_ROWS = 1200  # the bank holds blocks x rows^2 numbers: of more rows than this it keeps a sample


class GramBank:
    """Gram matrices of the standardised blocks of all views, float32.

    Attributes
    ----------
    anchors : int64 array (a,), ascending
        The rows it holds: all n, or a random sample of `MOST_ROWS` of them.
    grams : Tensor (blocks, a, a)
    """

    def __init__(self, rows: Standardised, columns: Columns, random_state: int = 0) -> None:
        self.rows, self.columns = rows, columns
        rng = np.random.default_rng(random_state)
        self.complete = rows.n <= MOST_ROWS
        self.anchors = np.arange(rows.n) if self.complete else np.sort(rng.permutation(rows.n)[:MOST_ROWS])
        numbers = sorted({number for view in columns.views.values() for number in view}, key=self._first_view)
        self.place = {number: i for i, number in enumerate(numbers)}
        self.grams = torch.zeros(len(numbers), len(self.anchors), len(self.anchors))
        for number, i in self.place.items():
            block = columns.blocks[number]
            rows.gram(np.arange(block.start, block.stop), out=self.grams[i], of=None if self.complete else self.anchors)

    def _first_view(self, number: int) -> tuple[int, int]:
        """Blocks of one view lie side by side, so that `of` seldom copies."""
        return next((i, number) for i, view in enumerate(self.columns.views.values()) if number in view)

    def view(self, name: str, importance: torch.Tensor | None = None) -> torch.Tensor:
        """``sum_b eta_b G_b`` over the blocks of a view and all n rows, float32 (n, n); eta is one where it is None."""
        if not self.complete:
            by_column = None if importance is None else importance.numpy()[self.columns.block_of(name)]
            return self.rows.gram(self.columns.indices(name), by_column)
        grams = self.of(name)
        eta = torch.ones(len(grams)) if importance is None else importance.float()
        return (eta @ grams.flatten(1)).view(self.rows.n, self.rows.n)

    def of(self, name: str) -> torch.Tensor:
        """Gram matrices of a view's blocks between the anchors, (blocks, a, a), in the order of the view."""
        places = [self.place[number] for number in self.columns.views[name]]
        if places == list(range(places[0], places[0] + len(places))):
            return self.grams[places[0] : places[0] + len(places)]
        return self.grams[places]
