"""The plan: which column of a row holds what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from head2toe.checks import require
from head2toe.errors import ParameterError
from head2toe.features.layer import Layer
from head2toe.features.pooling import operation
from head2toe.features.pooling_rules import ALL_STATISTICS, CLASS_TOKEN_OPTIONS, operations
from head2toe.features.pooling_rules import statistics as describe

LINEAR_VIEW = "linear"
"""Name of the view that holds the input of the classifier."""

STATISTICS_VIEW = "statistics"
"""Name of the view that holds a few statistics of each channel."""


@dataclass(frozen=True)
class Block:
    """Columns `start` to `stop` of a row: one operation on one layer."""

    layer: str
    operation: str
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """The columns of a row, in blocks, and the views that choose among them.

    Attributes
    ----------
    layers
        The layers that are pooled, in order of execution.
    blocks
        In order of their columns. Every (layer, operation) pair stands once.
    views
        Target size as a string -> numbers of its blocks, ascending by layer; so too `statistics`, where asked for, and
        `linear`.
    """

    layers: tuple[Layer, ...]
    blocks: tuple[Block, ...]
    views: dict[str, tuple[int, ...]]

    @classmethod
    def build(
        cls,
        layers: Sequence[Layer],
        target_sizes: Iterable[int],
        cls_token: str = "with",
        statistics: Sequence[str] = (),
    ) -> Plan:
        """Lay out the columns for some target sizes, and for a view of statistics.

        The columns of the first target size come first, in order of execution; each further size adds the blocks it
        does not share with those before. So one view is read in few long pieces.

        Parameters
        ----------
        layers
            From `layers(backbone)`.
        target_sizes
            Target sizes N (numbers per layer, approximated); none is allowed where there are statistics.
        cls_token
            "with", "alone" or "beside": see `pooling_rules.operations`.
        statistics
            Some of `pooling_rules.ALL_STATISTICS`: each a block a layer, together one more view.

        Raises
        ------
        ParameterError
            No layer, no target size and no statistics, a target size below 1, or an unknown `cls_token` or statistic.
        """
        sizes = _sizes(target_sizes)
        statistics = list(dict.fromkeys(statistics))
        _check(layers, sizes, cls_token, statistics)
        selected, builder = [layer for layer in layers if layer.selected], _Builder()
        views = {
            str(size): builder.view(selected, partial(operations, target=size, cls_token=cls_token)) for size in sizes
        }
        if statistics:
            views[STATISTICS_VIEW] = builder.view(selected, partial(describe, wanted=statistics))
        penultimate = [layer for layer in layers if layer.penultimate]
        views[LINEAR_VIEW] = builder.view(penultimate, lambda layer: (linear_operation(layer),))
        return cls(tuple(layers), tuple(builder.blocks), views)

    @classmethod
    def of(cls, layers: Iterable[Layer], wanted: Iterable[tuple[str, str]]) -> Plan:
        """Lay out some operations on some layers, (layer, operation) pairs, each once; the plan has no views."""
        layers = tuple(layers)
        by_name, builder = {layer.name: layer for layer in layers}, _Builder()
        for layer, name in wanted:
            builder.block(by_name[layer], name)
        return cls(layers, tuple(builder.blocks), {})

    def with_views(self, views: Mapping[str, Iterable[tuple[str, str]]]) -> Plan:
        """Return the plan with more views of (layer, operation) pairs; blocks that it lacks come after its own."""
        builder = _Builder(self.blocks)
        added = {
            view: tuple(sorted(builder.block(self.by_name[layer], name) for layer, name in pairs))
            for view, pairs in views.items()
        }
        return replace(self, blocks=tuple(builder.blocks), views={**self.views, **added})

    @property
    def d(self) -> int:
        """Number of columns."""
        return self.blocks[-1].stop if self.blocks else 0

    def bytes(self, n: int) -> int:
        """Return the bytes of n stored rows."""
        return n * row_bytes(self.d)

    def columns(self, view: str) -> npt.NDArray[np.int64]:
        """Return the column numbers of a view, block by block.

        Raises
        ------
        KeyError
            The plan has no such view.
        """
        pieces = [np.arange(self.blocks[i].start, self.blocks[i].stop) for i in self.views[view]]
        return np.concatenate(pieces) if pieces else np.empty(0, np.int64)

    @cached_property
    def by_name(self) -> dict[str, Layer]:
        """Layers by name."""
        return {layer.name: layer for layer in self.layers}

    def restrict(self, columns: npt.ArrayLike) -> tuple[Plan, npt.NDArray[np.int64]]:
        """Return the smallest plan that still makes some columns, and where they stand in it.

        Parameters
        ----------
        columns
            Column numbers of this plan, in any order.

        Returns
        -------
        The plan of the blocks and layers that are needed (without views), and for each of `columns` its column there.

        Raises
        ------
        IndexError
            A column number is below 0 or not below d.
        """
        wanted = np.asarray(columns, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.d):
            raise IndexError(f"columns run from 0 to {self.d - 1}, not from {wanted.min()} to {wanted.max()}")
        owner = np.searchsorted([block.stop for block in self.blocks], wanted, side="right")
        offsets = np.zeros(len(self.blocks), np.int64)
        builder = _Builder()
        for i in np.unique(owner):
            number = builder.block(self.by_name[self.blocks[i].layer], self.blocks[i].operation)
            offsets[i] = builder.blocks[number].start - self.blocks[i].start
        needed = {block.layer for block in builder.blocks}
        kept = tuple(layer for layer in self.layers if layer.name in needed)
        return Plan(kept, tuple(builder.blocks), {}), wanted + offsets[owner]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON data."""
        return {
            "layers": [_written(layer) for layer in self.layers],
            "blocks": [asdict(block) for block in self.blocks],
            "views": {name: list(numbers) for name, numbers in self.views.items()},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Return the plan that `to_dict` wrote."""
        return cls(
            tuple(_layer(layer) for layer in data["layers"]),
            tuple(Block(**block) for block in data["blocks"]),
            {name: tuple(numbers) for name, numbers in data["views"].items()},
        )


def _written(layer: Layer) -> dict[str, Any]:
    made = {**asdict(layer), "shape": list(layer.shape), "grid": layer.grid and list(layer.grid)}
    if not layer.suffix:  # so that rows and probes of older versions, which know none, stay what they are
        del made["suffix"]
    return made


def _layer(data: dict[str, Any]) -> Layer:
    """The layer that `to_dict` wrote; plans of older versions know no grid."""
    grid = data.get("grid")
    return Layer(**{**data, "shape": tuple(data["shape"]), "grid": grid and tuple(grid)})


class _Builder:
    """Hands out columns, once for each (layer, operation) pair."""

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self.blocks = [*blocks]
        self._numbers = {(block.layer, block.operation): number for number, block in enumerate(self.blocks)}

    def view(self, layers: Iterable[Layer], names_of: Callable[[Layer], Iterable[str]]) -> tuple[int, ...]:
        """Numbers of the blocks of some layers; `names_of` tells the operations on one."""
        return tuple(self.block(layer, name) for layer in layers for name in names_of(layer))

    def block(self, layer: Layer, name: str) -> int:
        """Number of the block of an operation on a layer."""
        key = (layer.name, name)
        if key not in self._numbers:
            start = self.blocks[-1].stop if self.blocks else 0
            self._numbers[key] = len(self.blocks)
            self.blocks.append(Block(layer.name, name, start, start + operation(name).size(layer.shape)))
        return self._numbers[key]


def row_bytes(d: int) -> int:
    """Bytes of a row of d columns, which is float32."""
    return d * np.dtype(np.float32).itemsize


def linear_operation(layer: Layer) -> str:
    """What a linear probe reads: vectors as they are, the class token where there is one, else the mean."""
    if layer.kind == "vector":
        return "identity"
    return "cls" if layer.prefix and layer.class_token else "mean"  # a prefix may be registers alone


def _sizes(given: Iterable[int]) -> list[int]:
    """Each once."""
    use = "whole numbers of at least 1"
    try:
        values = list(given)
        sizes = [int(size) for size in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(f"target_sizes is {given!r}: use {use}") from error
    require(sizes == values and min(sizes, default=1) >= 1, "target_sizes", given, use)
    return list(dict.fromkeys(sizes))


def _check(layers: Sequence[Layer], sizes: list[int], cls_token: str, statistics: Sequence[str]) -> None:
    if not any(layer.selected for layer in layers):
        raise ParameterError("there is no layer to pool: use layers that a pattern of theirs asks for")
    unknown = [name for name in statistics if name not in ALL_STATISTICS]
    if unknown:
        raise ParameterError(f"statistics are some of {', '.join(ALL_STATISTICS)}, not {unknown[0]!r}")
    if not sizes and not statistics:
        raise ParameterError("there are neither target sizes nor statistics: use one of the two at least")
    require(cls_token in CLASS_TOKEN_OPTIONS, "cls_token", cls_token, f"one of {', '.join(CLASS_TOKEN_OPTIONS)}")
