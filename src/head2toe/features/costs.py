"""What a forward pass costs up to each layer, and the layers that a budget reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from head2toe.backbones.running import on_one_or_two, run
from head2toe.checks import is_number, require
from head2toe.errors import ParameterError
from head2toe.features.axes import Key
from head2toe.features.flops import counter
from head2toe.features.hooks import watch
from head2toe.features.layer import Layer
from head2toe.features.noise import noise_batch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone


@dataclass(frozen=True)
class Costs:
    """FLOPs of one image's forward pass, 2 a multiply-add, by the formulas of `torch.utils.flop_counter`.

    Matrix products, convolutions and attention count; norms, activations and pooling, which are few, do not.

    Attributes
    ----------
    total
        Of the whole pass.
    until
        Layer name -> FLOPs until that layer's tensor is there.
    """

    total: int
    until: dict[str, int]

    def saved(self, names: Sequence[str]) -> int:
        """FLOPs saved by stopping after the last of some layers; without any, all are."""
        return self.total - max((self.until[name] for name in names), default=0)


def costs(backbone: Backbone, layers: Sequence[Layer]) -> Costs:
    """Count the FLOPs until each layer, in one forward pass on one image, or on two where it takes none alone.

    Parameters
    ----------
    backbone
        The frozen network.
    layers
        From `features.layers(backbone)`.
    """
    names = {layer.key: layer.name for layer in layers}
    return on_one_or_two(lambda images: _counted(backbone, names, images))


def _counted(backbone: Backbone, names: dict[Key, str], images: int) -> Costs:
    until: dict[str, int] = {}
    counting = counter()

    def see(module: str, where: str, call: int, _value: Any) -> None:
        name = names.get((module, where, call))
        if name is not None:
            until[name] = int(counting.get_total_flops()) // images

    batch = noise_batch(backbone, images)
    with watch(backbone.module, {key[:2] for key in names}, see), counting:
        run(backbone.module, batch)
    return Costs(int(counting.get_total_flops()) // images, until)


def within(layers: Sequence[Layer], spent: Costs, budget: float) -> tuple[Layer, ...]:
    """Return the layers that a share of the forward FLOPs reaches.

    The last of them takes the place of the classifier's input where that lies beyond: the network ends there, and a
    linear probe reads what is then its last layer.

    Parameters
    ----------
    layers
        In order of execution.
    spent
        Their costs.
    budget
        Share in (0, 1].

    Raises
    ------
    ParameterError
        A budget outside (0, 1], or one that reaches no layer.
    """
    fits = is_number(budget) and 0 < budget <= 1
    require(fits, "budget", budget, "a share of the forward FLOPs, above 0 and at most 1")
    reached = [layer for layer in layers if spent.until[layer.name] <= budget * spent.total]
    chosen = [layer for layer in reached if layer.selected]
    if not chosen:
        least = min(spent.until[layer.name] for layer in layers if layer.selected) / spent.total
        raise ParameterError(
            f"a budget of {budget:g} reaches no layer: the first takes {least:.3f} of the forward FLOPs"
        )
    if any(layer.penultimate for layer in reached):
        return tuple(reached)
    return (*chosen[:-1], replace(chosen[-1], penultimate=True))
