"""One layer of a plan: its outputs are taken as they come, put together, and pooled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from head2toe.errors import NoLayerError, PreprocessingError, some_of
from head2toe.features.axes import Key, Shape
from head2toe.features.layer import Layer
from head2toe.features.narrowing import Part
from head2toe.features.plan import Plan
from head2toe.features.pooling import Operation, Statistic, operation
from head2toe.features.reductions import Reduced, Reduction, Workspace, economical


class PooledLayer:
    """What is done with one layer's output: operations that stand alone, and statistics with their reductions.

    A layer put together from parts of others waits until all of them have been seen.
    """

    def __init__(self, layer: Layer, parts: Sequence[Part]) -> None:
        self.layer = layer
        self.sources = {part.layer.key: part.layer for part in parts} or {layer.key: layer}
        self.alone: list[tuple[Operation, slice]] = []
        self.statistics: list[tuple[Statistic, slice]] = []
        self._reductions: tuple[Reduction, ...] = ()
        self._channels = {part.layer.key: torch.from_numpy(part.channels) for part in parts}
        self._seen: dict[Key, Tensor] = {}

    def add(self, pooling: Operation, columns: slice) -> None:
        """Put the result of an operation into some columns."""
        if not isinstance(pooling, Statistic):
            self.alone.append((pooling, columns))
            return
        self.statistics.append((pooling, columns))
        self._reductions = economical((*self._reductions, *pooling.reductions()), self.layer.shape)

    def forget(self) -> None:
        """Begin with another batch."""
        self._seen.clear()

    def checked(self, key: Key, tensor: Tensor | None, count: int) -> Tensor:
        """The tensor; refuse what is not as it was when the layers were listed.

        Raises
        ------
        PreprocessingError
        """
        layer = self.sources[key]
        if tensor is None or not tensor.ndim or len(tensor) != count:
            raise PreprocessingError(
                f"layer {layer.name} gave no row for each of {count} images, though it did when layers were listed: "
                "leave it out with a layer pattern"
            )
        if layer.kind == "sequence":
            return tensor
        made, listed = Shape(layer.canonical(tensor).shape[1:]), layer.shape
        if layer.kind == "map":
            listed = (*listed[1:], listed[0])
        if made != listed:
            raise PreprocessingError(
                f"layer {layer.name} gave {' x '.join(map(str, made))} numbers for these images, and "
                f"{' x '.join(map(str, listed))} when layers were listed: let the preprocessing resize all to one size"
            )
        return tensor

    def take(self, key: Key, tensor: Tensor) -> Tensor | None:
        """Return what is pooled, channels last, when the last part of it has come."""
        whole = self.sources[key].canonical(tensor)
        if not self._channels:
            return whole
        # Not `index_select`, which passes over the tensor once for every channel.
        self._seen[key] = whole.gather(-1, self._channels[key].to(whole.device).expand(*whole.shape[:-1], -1))
        if len(self._seen) < len(self.sources):
            return None
        pieces = [self._seen.pop(key) for key in self.sources]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)

    def reduced(self, workspace: Workspace) -> Reduced:
        """What the reductions that the statistics need will be gathered in."""
        return Reduced(self._reductions, workspace)

    def pool(self, tensor: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Columns and what they hold, of a whole batch at once; gradients pass."""
        for pooling, columns in self.alone:
            yield columns, pooling.apply(tensor)
        reduced = self.reduced(Workspace())
        reduced.add(tensor)
        for pooling, columns in self.statistics:
            yield columns, pooling.finish(reduced)


def pooled_layers(plan: Plan, parts: Mapping[str, Sequence[Part]]) -> dict[Key, PooledLayer]:
    """For each tensor that a plan needs, the layer it belongs to; `parts` are those of `narrowing.Narrowed`."""
    found = {layer.name: PooledLayer(layer, parts.get(layer.name, ())) for layer in plan.layers}
    for block in plan.blocks:
        found[block.layer].add(operation(block.operation), slice(block.start, block.stop))
    needed = {block.layer for block in plan.blocks}
    return {key: one for name, one in found.items() if name in needed for key in one.sources}


def did_not_run(layers: Mapping[Key, PooledLayer], waiting: Iterable[Key]) -> NoLayerError:
    """What to raise where some tensors of `pooled_layers` have not come when the network is done."""
    names = some_of(sorted(layers[key].sources[key].name for key in waiting))
    return NoLayerError(
        f"layers {names} did not run on these images, though they did when they were listed: "
        "the network's way depends on its input; leave them out with a layer pattern"
    )
