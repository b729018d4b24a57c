"""The Gram bank: one n x n Gram matrix a block, computed once; every fold and every weighted sum comes from it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from head2toe.probes.columns import Columns
from head2toe.probes.grams import Grams
from head2toe.probes.scratch import SMALL_BYTES, folder_of
from head2toe.probes.standardised import Standardised

MOST_ROWS = 1200  # the bank holds blocks x rows^2 / 2 numbers: of more rows than this it keeps a sample


class GramBank:
    """Gram matrices of the standardised blocks of all views.

    Attributes
    ----------
    anchors : int64 array (a,), ascending
        The rows it holds: all n, or a random sample of `MOST_ROWS` of them.
    grams : Grams (blocks, a, a)
    """

    def __init__(self, rows: Standardised, columns: Columns, random_state: int = 0) -> None:
        self.rows, self.columns = rows, columns
        rng = np.random.default_rng(random_state)
        self.complete = rows.n <= MOST_ROWS
        self.anchors = np.arange(rows.n) if self.complete else np.sort(rng.permutation(rows.n)[:MOST_ROWS])
        numbers = sorted({number for view in columns.views.values() for number in view})
        self.place = {number: i for i, number in enumerate(numbers)}
        self.equal: dict[str, torch.Tensor] = {}
        self.grams = self._made()

    def _made(self) -> Grams:
        """Beside the copy of the features on disk, if there are many."""
        count, n = len(self.place), len(self.anchors)
        large = 4 * count * n * (n + 1) // 2 >= SMALL_BYTES
        return Grams(self._matrices, count, n, folder_of(self.rows.X) if large else None)

    def _matrices(self) -> Iterator[torch.Tensor]:
        subset = None if self.complete else self.anchors
        for number in self.place:
            block = self.columns.blocks[number]
            yield self.rows.gram(np.arange(block.start, block.stop), subset=subset)

    def view(self, name: str, importance: torch.Tensor | None = None) -> torch.Tensor:
        """``sum_b eta_b G_b`` over the blocks of a view and all n rows, float32 (n, n); eta is one where it is None.

        Not to be written to.
        """
        if not self.complete:
            return self._equal(name) if importance is None else self._sum(name, importance)
        grams = self.grams_of_view(name)
        return grams.weighted(torch.ones(len(grams)) if importance is None else importance)

    def _equal(self, name: str) -> torch.Tensor:
        """The same in every fold, and kept where that takes no more than the features themselves."""
        if name not in self.equal:
            gram = self.rows.gram(self.columns.indices(name))
            if self.rows.n > self.columns.width(name):
                return gram
            self.equal[name] = gram
        return self.equal[name]

    def _sum(self, name: str, importance: torch.Tensor) -> torch.Tensor:
        return self.rows.gram(self.columns.indices(name), importance.numpy()[self.columns.block_of(name)])

    def grams_of_view(self, name: str) -> Grams:
        """Gram matrices of its blocks between the anchors, in the order of the view."""
        return self.grams.select([self.place[number] for number in self.columns.views[name]])
