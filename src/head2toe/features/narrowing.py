"""Narrowing: when few columns are wanted, few channels of each layer need pooling."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from head2toe.features.plan import Plan
from head2toe.features.taps import Layer

# Picking channels out costs about as much as pooling this many times as many.
_WORTH_IT = 8

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Narrowed:
    """A plan for some columns of another.

    Attributes
    ----------
    plan
        Its layers have the shapes that remain; it has no views.
    channels
        Layer -> which of its channels remain, ascending; layers that keep them all are missing.
    places
        For each wanted column, its column in `plan`.
    """

    plan: Plan
    channels: dict[str, Indices]
    places: Indices


def narrow(plan: Plan, columns: npt.ArrayLike) -> Narrowed:
    """Keep the blocks that some columns need, and of the layers the channels.

    Raises
    ------
    IndexError
        A column number is below 0 or not below d.
    """
    kept, places = plan.restrict(columns)
    starts = np.array([block.start for block in kept.blocks], np.int64)
    owner = np.searchsorted(starts, places, side="right") - 1
    channels_of = {layer.name: layer.shape[0] if len(layer.shape) == 3 else layer.shape[-1] for layer in kept.layers}
    width = np.array([channels_of[block.layer] for block in kept.blocks], np.int64)
    # In every block the columns run over the places first, and over the channels last.
    place, channel = np.divmod(places - starts[owner], width[owner]) if len(places) else (places, places)

    channels: dict[str, Indices] = {}
    for layer in kept.layers:
        blocks = [number for number, block in enumerate(kept.blocks) if block.layer == layer.name]
        wanted = np.unique(channel[np.isin(owner, blocks)])
        if len(wanted) * _WORTH_IT <= channels_of[layer.name]:
            channels[layer.name] = wanted
    layers = tuple(_with_channels(layer, channels.get(layer.name)) for layer in kept.layers)
    narrowed = kept.relaid(layers)
    for number, (block, new) in enumerate(zip(kept.blocks, narrowed.blocks, strict=True)):
        mine = owner == number
        if block.layer in channels:
            few = channels[block.layer]
            places[mine] = place[mine] * len(few) + np.searchsorted(few, channel[mine]) + new.start
        else:
            places[mine] += new.start - block.start
    return Narrowed(narrowed, channels, places)


def _with_channels(layer: Layer, channels: Indices | None) -> Layer:
    if channels is None:
        return layer
    count = len(channels)
    return replace(layer, shape=(count, *layer.shape[1:]) if len(layer.shape) == 3 else (*layer.shape[:-1], count))
