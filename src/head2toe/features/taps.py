"""Taps: which tensors of a network are looked at, found by a few tiny forward passes, in order of execution."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from head2toe.errors import NoLayerError
from head2toe.features.axes import Key, Shape
from head2toe.features.layer import Layer
from head2toe.features.look import look
from head2toe.features.patterns import matching
from head2toe.features.penultimate import penultimate_of, reads_first_token
from head2toe.features.prefix import PrefixTokens
from head2toe.features.sighting import Sighting
from head2toe.plain_torch import plain_torch

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

log = logging.getLogger(__name__)


@plain_torch()
def layers(backbone: Backbone, pattern: str | Sequence[str] | None = None) -> tuple[Layer, ...]:
    """List what is tapped, in order of execution.

    By default: the output of every activation module, of every block (a child with children of its own, in a
    `Sequential`, `ModuleList`, `ModuleDict` or the network itself), of patch embeddings, attentions and MLPs; pooled
    features; the logits; and the input of the classifier. Where these are few, as in a network that calls its
    activations as functions, single layers and the largest parts of less than half of the parameters too. Forward
    passes on three images of noise find shapes and order. Tensors with the same values as an earlier tap (a
    `Sequential` around its last block, dropout) are left out; of those that equal the classifier's input, that input
    stays. Tensors whose first axis is not the batch (attention windows) are left out too.

    Parameters
    ----------
    backbone
        The frozen network.
    pattern
        A glob over layer names (`layer[34].*`), a regular expression (`re:attn|mlp`) or a list of either. The
        classifier's input always stays, marked `selected=False` where the pattern does not ask for it, because the
        linear probe needs it.

    Raises
    ------
    LayerPatternError
        A pattern matches no layer.
    NoLayerError
        The network gives no tensor that could be tapped.
    PreprocessingError
        The network does not run on images as its preprocessing makes them.
    """
    found = _without_repeats(_usable(backbone))
    if not found:
        raise NoLayerError(f"{backbone.spec}: no layer gives a float tensor with a row an image, so none can be tapped")
    return found if pattern is None else matching(found, pattern)


def _usable(backbone: Backbone) -> list[Sighting]:
    """Look at the network: the usable taps, the penultimate one and the class tokens marked."""
    seen = look(backbone)
    _tell_of_batch_axis(backbone, seen.sideways)
    _tell_of_padding(backbone, [one.layer for one in seen.sightings], seen.other_lengths)
    penultimate = penultimate_of(seen.sightings, backbone) or _last(seen.sightings, backbone)
    prefix = PrefixTokens(backbone)
    pooled = penultimate is not None and reads_first_token(penultimate, seen.sightings[-1])
    return [
        replace(one, layer=_marked(one.layer, prefix, seen.size, penultimate=one is penultimate, pooled=pooled))
        for one in seen.sightings
        if one is penultimate or not one.is_guess
    ]


def _marked(layer: Layer, prefix: PrefixTokens, size: tuple[int, int], *, penultimate: bool, pooled: bool) -> Layer:
    """With its class and register tokens; the first that the classifier reads may be one that the network `pooled`."""
    count, of_class = prefix.count_for(layer, size), prefix.class_token
    suffix = prefix.suffix if layer.kind == "tokens" and count else 0
    if penultimate and pooled and not count:
        count, of_class = 1, True
    layer = replace(layer, prefix=count, class_token=of_class, suffix=suffix, penultimate=penultimate)
    return replace(layer, grid=prefix.grid(layer, size))


def _last(sightings: Sequence[Sighting], backbone: Backbone) -> Sighting | None:
    """What the linear probe reads where nothing can be told to be the classifier's input, nor the output."""
    if not sightings:
        return None
    log.warning(
        "%s: nothing it gives can be told to be its output, so the linear probe reads %s, the last layer that has "
        "a row an image: return a tensor with a row an image",
        backbone.spec,
        sightings[-1].layer.name,
    )
    return sightings[-1]


def _tell_of_batch_axis(backbone: Backbone, sideways: Sequence[str]) -> None:
    if sideways:
        log.warning(
            "%s: %d layers from %s on have the images along the second axis and are left out: make the network batch "
            "first (batch_first=True, or a wrapper that transposes)",
            backbone.spec,
            len(sideways),
            sideways[0],
        )


def _tell_of_padding(backbone: Backbone, found: list[Layer], other_lengths: dict[Key, Shape]) -> None:
    tapped = [layer for layer in found if layer.kind == "sequence" and layer.where == "output"]
    padded = [layer for layer in tapped if other_lengths.get(layer.key) == layer.shape]
    if padded:
        log.warning(
            "%s: %d layers from %s on have as many tokens for a short input as for a longer one: the network pads "
            "inside, and what is averaged there counts the padding",
            backbone.spec,
            len(padded),
            padded[0].name,
        )


def _without_repeats(sightings: list[Sighting]) -> tuple[Layer, ...]:
    taken = {sighting.digest for sighting in sightings if sighting.layer.penultimate} - {None}
    kept: list[Layer] = []
    for sighting in sightings:
        if sighting.digest in taken and not sighting.layer.penultimate:
            continue
        if sighting.digest is not None:
            taken.add(sighting.digest)
        kept.append(sighting.layer)
    return _named_apart(kept)


def _named_apart(found: list[Layer]) -> tuple[Layer, ...]:
    """Give each a name of its own: a part may be called `output` too, or as a later run of another is."""
    names, named = {layer.name for layer in found}, dict[str, Layer]()
    for layer in found:
        name, number = layer.name, 1
        while name in named or (number > 1 and name in names):
            number += 1
            name = f"{layer.name}~{number}"
        named[name] = replace(layer, name=name)
    return tuple(named.values())
