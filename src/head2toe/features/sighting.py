"""A sighting: one tap as a pass on noise showed it, with what tells it from others and what it would predict."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from head2toe.features.candidates import is_pointwise
from head2toe.features.layer import Layer


@dataclass(frozen=True)
class Sighting:
    """One tap on noise.

    Attributes
    ----------
    layer
        Its kind and shape.
    digest
        Of the values; None where they are all the same and prove nothing.
    outputs
        float32 (B, c) each: what the module behind an input would make of it, pooled in each way; of the network's own
        output, its values.
    is_guess
        An input that is watched only because it may be the classifier's.
    """

    layer: Layer
    digest: bytes | None
    outputs: tuple[Tensor, ...] = ()
    is_guess: bool = False

    @classmethod
    def of(cls, module: nn.Module, layer: Layer, tensor: Tensor, *, is_guess: bool) -> Sighting:
        """What a layer of a network gave."""
        values = layer.canonical(tensor)
        return cls(layer, _digest(values), _outputs_of_layer(module, layer, values), is_guess)


def _digest(tensor: Tensor) -> bytes | None:
    values = tensor.float().contiguous()
    if bool((values == values.flatten()[0]).all()):
        return None
    return hashlib.sha256(values.numpy().tobytes() + str(values.shape[-1]).encode()).digest()


def _outputs_of_layer(module: nn.Module, layer: Layer, values: Tensor) -> tuple[Tensor, ...]:
    """The vectors that tell whether a module makes the network's output; none where it is no such module."""
    if layer.module == "":
        return (values.clone(),) if layer.kind == "vector" else ()
    child = module.get_submodule(layer.module)
    if layer.where != "input":
        return ()
    places = values.unsqueeze(1) if layer.kind == "vector" else values.flatten(1, -2)
    # Not through the module, whose hooks are watching.
    if is_pointwise(child):
        everywhere = F.linear(places, child.weight.flatten(1), child.bias)
        return everywhere.mean(1), everywhere.relu().mean(1)  # the latter as in SqueezeNet
    if isinstance(child, nn.Linear):
        return tuple(F.linear(pooled, child.weight, child.bias) for pooled in (places.mean(1), places[:, 0]))
    return ()
