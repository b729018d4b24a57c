"""The penultimate layer: which of the inputs seen is the classifier's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from head2toe.features.candidates import is_pointwise
from head2toe.features.layer import Layer
from head2toe.features.sighting import Sighting

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

_ROUNDING = 1e-3  # of the largest number: what the network's output may differ by from what makes it


def penultimate_of(sightings: Sequence[Sighting], backbone: Backbone) -> Sighting | None:
    """Find the classifier's input.

    Without a named classifier it is the input of the last `Linear` that makes the network's output (a vector) from a
    vector, or of a 1 x 1 convolution, the last layer with parameters, if it does so from a vector or as the mean over
    places; be it through an increasing function such as softmax or tanh; one whose very numbers the output holds, or a
    usual function of them, before one whose order it has, which two numbers may have by chance. Where none does, the
    network has no classifier and its output is the features.

    Parameters
    ----------
    sightings
        In order of execution.
    backbone
        The network.

    Returns
    -------
    One of the sightings; None where there is neither an input nor an output.
    """
    inputs = [one for one in sightings if one.layer.where == "input"]
    output = sightings[-1] if sightings and sightings[-1].layer.module == "" else None
    if not inputs:
        return output
    if backbone.classifier is None:
        able = [one for one in inputs if one.layer.kind == "vector" or _is_convolved(backbone.module, one.layer)]
        makers = [one for one in reversed(able) if _predicts(one, output)]
        return next((one for one in makers if _equals_up_to_activation(one, output)), next(iter(makers), output))
    entry, vector = inputs[-1], inputs[-1].layer.kind == "vector"
    # A head that pools by attention reads tokens, and neither their mean nor the first makes its output.
    comparable = not vector and entry.outputs and output is not None and output.outputs
    return output if comparable and not _predicts(entry, output) else entry


def reads_first_token(entry: Sighting, output: Sighting) -> bool:
    """Tell whether the classifier reads the first of its tokens, a pooled one that the network has put there."""
    if entry.layer.kind != "tokens" or len(entry.outputs) != 2 or not output.outputs:
        return False
    mean, first = (_is_monotone_in(made, output.outputs[0]) for made in entry.outputs)
    return first and not mean


def _is_convolved(module: nn.Module, layer: Layer) -> bool:
    return is_pointwise(module.get_submodule(layer.module))


def _predicts(entry: Sighting, output: Sighting | None) -> bool:
    """Tell whether the network's output grows with what the module behind `entry` makes, number by number."""
    if output is None or not output.outputs:
        return False
    return any(_is_monotone_in(made, output.outputs[0]) for made in entry.outputs)


def _is_monotone_in(made: Tensor, output: Tensor) -> bool:
    if made.shape != output.shape:
        return False
    return bool((output.gather(1, made.argsort(1)).diff(dim=1) >= 0).all())


def _equals_up_to_activation(entry: Sighting, output: Sighting | None) -> bool:
    """Tell whether the network's output is a usual function of what the module behind `entry` makes."""
    if output is None or not output.outputs:
        return False
    usual = (
        made for one in entry.outputs for made in (one, one.sigmoid(), one.tanh(), one.softmax(1), one.log_softmax(1))
    )
    scale = output.outputs[0].abs().max()
    return any(bool((made - output.outputs[0]).abs().max() <= _ROUNDING * scale) for made in usual)
