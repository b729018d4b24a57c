"""Narrowing: when few columns are wanted, few channels of each layer need pooling.

Layers of which few channels remain are put together with others of the same places, and pooled as one: pooling ten
channels costs hardly more than starting the operations that do it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from head2toe.features.layer import Layer
from head2toe.features.plan import Plan
from head2toe.features.pooling import channels, mixes_channels

# A layer is narrowed where it has at least this many times the wanted channels: picking them out costs a pass too.
_WORTH_IT = 8

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Some channels of a layer, ascending, and the place of the first among those of the layers it is put beside."""

    layer: Layer
    channels: Indices
    first: int = 0


@dataclass(frozen=True)
class Narrowed:
    """A plan for some columns of another.

    Attributes
    ----------
    plan
        Some of its layers are parts of several, channels side by side; it has no views.
    parts
        Layer of `plan` -> what it is put together from; layers that are taken whole are missing.
    places
        For each wanted column, its column in `plan`.
    """

    plan: Plan
    parts: dict[str, tuple[Part, ...]]
    places: Indices


def narrow(plan: Plan, columns: npt.ArrayLike) -> Narrowed:
    """Keep the blocks that some columns need, and of the layers the channels.

    Raises
    ------
    IndexError
        A column number is below 0 or not below d.
    """
    kept, places = plan.restrict(columns)
    owner = np.searchsorted([block.stop for block in kept.blocks], places, side="right")
    offset = places - np.array([block.start for block in kept.blocks], np.int64)[owner] if kept.blocks else places
    together = _side_by_side(_few_channels(kept, owner, offset))
    home = {part.layer.name: (parts[0].layer.name, part) for parts in together for part in parts}

    layers = tuple(layer for layer in kept.layers if layer.name not in home)
    layers += tuple(_with_channels(parts[0].layer, _width(parts)) for parts in together)
    wanted = [(home[block.layer][0] if block.layer in home else block.layer, block.operation) for block in kept.blocks]
    narrowed = Plan.of(layers, wanted)
    starts = {(block.layer, block.operation): block.start for block in narrowed.blocks}
    for number in np.unique(owner):
        mine, block = owner == number, kept.blocks[number]
        if block.layer in home:
            name, part = home[block.layer]
            place, channel = np.divmod(offset[mine], channels(part.layer.shape))
            beside = part.first + np.searchsorted(part.channels, channel)
            offset[mine] = place * channels(narrowed.by_name[name].shape) + beside
        offset[mine] += starts[wanted[number]]
    return Narrowed(narrowed, {parts[0].layer.name: parts for parts in together}, offset)


def _few_channels(kept: Plan, owner: Indices, offset: Indices) -> list[Part]:
    """The layers of which few channels are wanted. In a block the columns run over the channels last."""
    whole = {block.layer for block in kept.blocks if mixes_channels(block.operation)}
    wanted: dict[str, list[Indices]] = {}
    for number in np.unique(owner):
        name = kept.blocks[number].layer
        wanted.setdefault(name, []).append(offset[owner == number] % channels(kept.by_name[name].shape))
    parts = [Part(kept.by_name[name], np.unique(np.concatenate(found))) for name, found in wanted.items()]
    parts = [part for part in parts if part.layer.name not in whole]
    return [part for part in parts if len(part.channels) * _WORTH_IT <= channels(part.layer.shape)]


def _side_by_side(parts: Iterable[Part]) -> list[tuple[Part, ...]]:
    """Put parts together whose layers have the same places (sequences, of any length, stay alone)."""
    groups: dict[object, list[Part]] = {}
    for part in parts:
        layer = part.layer
        alone = layer.name if layer.kind == "sequence" else None
        group = groups.setdefault((layer.kind, _with_channels(layer, 1).shape, layer.prefix, layer.grid, alone), [])
        group.append(replace(part, first=_width(group)))
    return [tuple(group) for group in groups.values()]


def _width(parts: Iterable[Part]) -> int:
    return sum(len(part.channels) for part in parts)


def _with_channels(layer: Layer, count: int) -> Layer:
    shape = (count, *layer.shape[1:]) if layer.kind == "map" else (*layer.shape[:-1], count)
    return replace(layer, shape=shape)
