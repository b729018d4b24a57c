"""What the columns of a feature matrix mean: blocks of one layer and one pooling, and the views made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

LINEAR_VIEW = "linear"
DEVIATIONS = " + deviations"  # ends the name of a view that has them


def deviates(view: str) -> bool:
    """Whether a view has deviations beside its features, as its name tells."""
    return view.endswith(DEVIATIONS)


def plain_view(view: str) -> str:
    """The view without its deviations, where it has them."""
    return view.removesuffix(DEVIATIONS)


@dataclass(frozen=True)
class Block:
    """Columns ``start:stop`` of the feature matrix: one layer, pooled by one operation."""

    layer: str
    operation: str
    start: int
    stop: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.stop - self.start


@dataclass(frozen=True)
class Columns:
    """The blocks of a feature matrix and its views.

    Parameters
    ----------
    blocks : tuple of Block
        Disjoint column ranges.
    views : dict of str to tuple of int
        Each view is a set of block numbers: one way to describe an image (one target size, say). The view
        ``"linear"`` holds the penultimate features, which the linear probe uses.
    commensurable : bool
        The features of a block have one unit, so that their variances can be compared.
    networks : dict of str to frozenset of str
        Names of the networks that must run for a view; where it is missing, one that all such views share.
    """

    blocks: tuple[Block, ...]
    views: dict[str, tuple[int, ...]] = field(default_factory=dict)
    commensurable: bool = True
    networks: dict[str, frozenset[str]] = field(default_factory=dict)

    @staticmethod
    def plain(d: int, spans: Sequence[tuple[int, int]] | None = None) -> Columns:
        """Columns of a plain matrix with d columns: one view ``"all"``, whose linear probe uses every column.

        Parameters
        ----------
        spans : sequence of (start, stop), optional
            Column ranges that have a learned weight each. None: one block of all columns.
        """
        ranges = spans or [(0, d)]
        blocks = tuple(Block(f"group{i}", "identity", start, stop) for i, (start, stop) in enumerate(ranges))
        everything = tuple(range(len(blocks)))
        return Columns(blocks, {"all": everything, LINEAR_VIEW: everything}, commensurable=False)

    def with_deviations(self, views: Sequence[str], d: int) -> Columns:
        """Beside each of some views another, which has the deviation of each of its features too.

        Of d columns, column ``d + j`` is the deviation of column j, how far it lies from its mean: see
        `standardised.Standardised`.
        """
        blocks, twins = list(self.blocks), dict(self.views)
        numbers = sorted({number for view in views for number in self.views[view]})
        for number in numbers:
            block = self.blocks[number]
            blocks.append(Block(block.layer, f"{block.operation} deviation", d + block.start, d + block.stop))
        place = {number: len(self.blocks) + i for i, number in enumerate(numbers)}
        for view in views:
            twins[view + DEVIATIONS] = (*self.views[view], *(place[number] for number in self.views[view]))
        networks = {view + DEVIATIONS: self.networks[view] for view in views if view in self.networks}
        return replace(self, blocks=tuple(blocks), views=twins, networks={**self.networks, **networks})

    def spans(self) -> list[tuple[int, int]]:
        """Start and stop of the blocks of commensurable features."""
        return [(block.start, block.stop) for block in self.blocks] if self.commensurable else []

    def candidate_views(self) -> tuple[str, ...]:
        """Names of the views Head2Toe chooses among, in order."""
        return tuple(name for name in self.views if name != LINEAR_VIEW)

    def networks_of(self, view: str) -> frozenset[str]:
        """Names of the networks that must run for a view."""
        return self.networks.get(view, frozenset({""}))

    def width(self, view: str) -> int:
        """Number of columns of a view."""
        return sum(self.blocks[b].width for b in self.views[view])

    def block_of(self, view: str) -> np.ndarray:
        """For each column of `indices`, the position of its block among the view's blocks, int64."""
        starts = np.array([self.blocks[b].start for b in self.views[view]])
        order = np.argsort(starts)
        return order[np.searchsorted(starts[order], self.indices(view), side="right") - 1]

    def indices(self, view: str) -> np.ndarray:
        """Column numbers of a view, int64, ascending."""
        spans = sorted((self.blocks[b].start, self.blocks[b].stop) for b in self.views[view])
        return np.concatenate([np.arange(*span) for span in spans]) if spans else np.empty(0, np.int64)
