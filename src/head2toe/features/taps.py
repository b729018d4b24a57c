"""Taps: which tensors of a network are looked at, found by one tiny forward pass, in order of execution."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from head2toe.backbones.surroundings import plain_torch
from head2toe.errors import LayerPatternError, NoLayerError, PreprocessingError, one_line
from head2toe.features.axes import Key, Shape, described, is_open
from head2toe.features.candidates import Wanted, candidates, is_pointwise
from head2toe.features.hooks import first_tensor, run, watch
from head2toe.features.layer import Layer
from head2toe.features.noise import noise_batch, takes_sequences
from head2toe.features.prefix import PrefixTokens

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

log = logging.getLogger(__name__)

# Three images tell the batch axis from most other axes, and fewer from the others.
_PROBE_IMAGES, _FEWER = 3, 2
_ROUNDING = 1e-3  # of the largest number: what two looks at the same images may differ by


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
    found = _without_repeats(list(_seen(backbone)))
    if not found:
        raise NoLayerError(f"{backbone.spec}: no layer gives a float tensor with a row an image, so none can be tapped")
    return found if pattern is None else _narrowed(found, _patterns(pattern))


def _patterns(given: Any) -> list[str]:
    patterns = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(one, str) for one in patterns):
        raise LayerPatternError(f"layers is {given!r}: use a pattern of layer names, or a list of them")
    return patterns


def _narrowed(found: tuple[Layer, ...], patterns: list[str]) -> tuple[Layer, ...]:
    names = [layer.name for layer in found]
    chosen: set[str] = set()
    for pattern in patterns:
        matches = {name for name in names if _matches(pattern, name)}
        if not matches:
            near = difflib.get_close_matches(pattern.removeprefix("re:"), names, n=4, cutoff=0.0)
            raise LayerPatternError(
                f"no layer matches {pattern!r}; the nearest names are {', '.join(near)}; `head2toe layers` lists all"
            )
        chosen |= matches
    kept = (replace(layer, selected=layer.name in chosen) for layer in found)
    return tuple(layer for layer in kept if layer.selected or layer.penultimate)


def _matches(pattern: str, name: str) -> bool:
    if not pattern.startswith("re:"):
        return fnmatch.fnmatchcase(name, pattern)
    try:
        return re.search(pattern.removeprefix("re:"), name) is not None
    except re.error as error:
        raise LayerPatternError(f"{pattern!r} is no regular expression: {error}") from error


@dataclass(frozen=True)
class _Sighting:
    layer: Layer
    digest: bytes | None  # of the values; None where they are all the same and prove nothing
    # What the module behind an input would make of it, pooled in each way; of the network's output, its values.
    made: tuple[Tensor, ...] = ()


class _Look:
    """One forward pass on noise, and the usable taps that it showed.

    Parameters
    ----------
    backbone, wanted
    size : (int, int)
        Height and width of the input.
    longer, wider : dict
        Shapes of the same tensors for longer sequences, and for wider images.
    """

    def __init__(
        self,
        backbone: Backbone,
        wanted: Wanted,
        size: tuple[int, int],
        longer: dict[Key, Shape],
        wider: dict[Key, Shape],
    ) -> None:
        self.backbone, self.wanted, self.size, self.longer, self.wider = backbone, wanted, size, longer, wider
        self.sightings: list[_Sighting] = []
        self.sideways: list[str] = []
        self.is_open = False  # there is a tensor whose proportions do not tell its channels
        self.in_line = any(isinstance(part, nn.Conv1d) for part in backbone.module.modules())

    def run(self, noise: Tensor) -> Any:
        """The network's output."""
        with watch(self.backbone.module, self.wanted, self._see):
            return _try(self.backbone, noise.clone())

    def _see(self, name: str, where: str, call: int, value: Any) -> None:
        tensor = first_tensor(value, _PROBE_IMAGES)
        if tensor is None or not tensor.is_floating_point() or not tensor.ndim:
            return
        if tensor.ndim == 1 and not name:
            tensor = tensor[:, None]  # one number an image, as networks of one logit may give
        if tensor.ndim < 2:
            return
        if len(tensor) != _PROBE_IMAGES:
            # Inputs that are watched only to find the classifier would be no layer anyway.
            meant = self.wanted[name, where] != "linear"
            if meant and tensor.ndim == 3 and tensor.shape[1] == _PROBE_IMAGES:
                self.sideways.append(name)
            return
        key = name, where, call
        self.is_open |= is_open(tensor, self.size) or (self.in_line and tensor.ndim == 3)
        layer = described(key, tensor, self.size, self.longer.get(key), self.wider.get(key))
        if layer is None or (self.wanted[name, where] == "vector" and layer.kind != "vector"):
            return
        values = layer.canonical(tensor)
        self.sightings.append(_Sighting(layer, _digest(values), _made(self.backbone.module, layer, values)))


def _seen(backbone: Backbone) -> Iterator[_Sighting]:
    """Run the network on noise and yield every usable tap, the penultimate one marked."""
    wanted = candidates(backbone.module, backbone.classifier)
    noise = noise_batch(backbone, _PROBE_IMAGES)
    size = (noise.shape[-2], noise.shape[-1])
    sequences = takes_sequences(backbone)
    second = noise_batch(backbone, _FEWER, "second") if sequences else noise
    longer = _watched(backbone, wanted, second)[1] if sequences else {}
    look = _Look(backbone, wanted, size, longer, {})
    made = look.run(noise)
    if look.is_open and not sequences:
        look = _Look(backbone, wanted, size, {}, _wider_shapes(backbone, wanted, noise))
        made = look.run(noise)
    follow = _check_company(backbone, wanted, noise, made)
    if look.sideways:
        log.warning(
            "%s: %d layers from %s on have the images along the second axis and are left out: make the network batch "
            "first (batch_first=True, or a wrapper that transposes)",
            backbone.spec,
            len(look.sideways),
            look.sideways[0],
        )
    sightings = [sighting for sighting in look.sightings if sighting.layer.key in follow]
    if second.shape[1:] != noise.shape[1:]:
        _tell_of_padding(backbone, [one.layer for one in sightings], longer)
    prefix = PrefixTokens(backbone)
    penultimate = _penultimate(sightings, backbone)
    if penultimate is None and sightings:
        penultimate = sightings[-1]
        log.warning(
            "%s: nothing it gives can be told to be its output, so the linear probe reads %s, the last layer that has "
            "a row an image: return a tensor with a row an image",
            backbone.spec,
            penultimate.layer.name,
        )
    for sighting in sightings:
        layer = replace(sighting.layer, prefix=prefix.of(sighting.layer, size), penultimate=sighting is penultimate)
        suffix = prefix.suffix if layer.kind == "tokens" and layer.prefix else 0
        layer = replace(layer, suffix=suffix, class_token=prefix.class_token, grid=prefix.grid(layer, size))
        linear_input = wanted[layer.module, layer.where] == "linear"
        if layer.penultimate or not linear_input:
            yield replace(sighting, layer=layer)


def _tell_of_padding(backbone: Backbone, found: list[Layer], longer: dict[Key, Shape]) -> None:
    tapped = [layer for layer in found if layer.kind == "sequence" and layer.where == "output"]
    padded = [layer for layer in tapped if longer.get(layer.key) == layer.shape]
    if padded:
        log.warning(
            "%s: %d layers from %s on have as many tokens for a short input as for a longer one: the network pads "
            "inside, and what is averaged there counts the padding",
            backbone.spec,
            len(padded),
            padded[0].name,
        )


def _check_company(backbone: Backbone, wanted: Wanted, noise: Tensor, made: Any) -> set[Key]:
    """Look again, at the same images and at fewer: warn where numbers are others; the taps with a row for each."""
    again = _try(backbone, noise.clone())  # a network may write into its input
    fewer, shapes = _watched(backbone, wanted, noise[:_FEWER])
    if not _same(made, again, _PROBE_IMAGES):
        log.warning(
            "%s gives other numbers for the same images at a second look: its rows are partly chance; switch off what "
            "is random in it (dropout called as a function, masking)",
            backbone.spec,
        )
    elif not _same(made, fewer, _FEWER):
        log.warning(
            "%s gives other numbers for an image in other company: its rows depend on the batch they are in; make its "
            "norms use running statistics",
            backbone.spec,
        )
    return set(shapes)


def _wider_shapes(backbone: Backbone, wanted: Wanted, noise: Tensor) -> dict[Key, Shape]:
    """Shapes for images twice as wide; none where the network takes no such images."""
    try:
        return _watched(backbone, wanted, torch.cat([noise[:_FEWER]] * 2, dim=-1))[1]
    except PreprocessingError:
        return {}


def _watched(backbone: Backbone, wanted: Wanted, batch: Tensor) -> tuple[Any, dict[Key, Shape]]:
    """The network's output, and the shapes, without the first axis, of the tensors with a row an input."""
    found: dict[Key, Shape] = {}

    def see(name: str, where: str, call: int, value: Any) -> None:
        tensor = first_tensor(value, len(batch))
        if tensor is not None and tensor.ndim and len(tensor) == len(batch):
            found[name, where, call] = tuple(tensor.shape[1:])

    with watch(backbone.module, wanted, see):
        output = _try(backbone, batch.clone())
    return output, found


def _same(first: Any, second: Any, count: int) -> bool:
    """Whether two outputs are the same numbers for the first `count` inputs, up to rounding."""
    a, b = first_tensor(first, _PROBE_IMAGES), first_tensor(second, count)
    if a is None or b is None or not a.is_floating_point() or not a.ndim:
        return True
    a = a[:count]
    if not bool(a.isfinite().all()):  # told where rows are made
        return True
    return a.shape == b.shape and bool((a - b).abs().max() <= _ROUNDING * a.abs().max())


def _try(backbone: Backbone, batch: Tensor) -> Any:
    try:
        return run(backbone.module, batch)
    except Exception as error:  # whatever a network says of images that do not suit it
        reason = one_line(error)
        batched = "leave unsqueeze(0) out of the transform; else " if batch.ndim == 5 and batch.shape[1] == 1 else ""
        raise PreprocessingError(
            f"{backbone.spec} does not run on {backbone.preprocessing.takes} {tuple(batch.shape[1:])} as its "
            f"preprocessing makes them ({type(error).__name__}: {reason}): {batched}pass the size and channels it "
            f"takes, and a module that takes {backbone.preprocessing.takes} alone"
        ) from error


def _penultimate(sightings: list[_Sighting], backbone: Backbone) -> _Sighting | None:
    """Find the classifier's input.

    Without a named classifier it is the input of the last `Linear` that makes the network's output (a vector) from a
    vector, or of a 1 x 1 convolution, the last layer with parameters, if it does so from a vector or as the mean over
    places; be it through an increasing function such as softmax or tanh; one whose very numbers the output holds, or a
    usual function of them, before one whose order it has, which two numbers may have by chance. Where none does, the
    network has no classifier and its output is the features.
    """
    inputs = [sighting for sighting in sightings if sighting.layer.where == "input"]
    output = sightings[-1] if sightings and sightings[-1].layer.module == "" else None
    if not inputs:
        return output
    if backbone.classifier is None:
        able = [one for one in inputs if one.layer.kind == "vector" or _is_convolved(backbone.module, one.layer)]
        makers = [one for one in reversed(able) if _makes(one, output)]
        return next((one for one in makers if _tells(one, output)), next(iter(makers), output))
    entry, vector = inputs[-1], inputs[-1].layer.kind == "vector"
    # A head that pools by attention reads tokens, and neither their mean nor the first makes its output.
    pools_otherwise = not vector and entry.made and output is not None and output.made and not _makes(entry, output)
    return output if pools_otherwise else entry


def _made(module: nn.Module, layer: Layer, values: Tensor) -> tuple[Tensor, ...]:
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


def _is_convolved(module: nn.Module, layer: Layer) -> bool:
    return is_pointwise(module.get_submodule(layer.module))


def _makes(entry: _Sighting, output: _Sighting | None) -> bool:
    """Tell whether the network's output grows with what the `Linear` behind `entry` makes, number by number."""
    if output is None or not output.made:
        return False
    return any(_grows(made, output.made[0]) for made in entry.made)


def _tells(entry: _Sighting, output: _Sighting | None) -> bool:
    """Tell whether the network's output is a usual function of what the `Linear` behind `entry` makes."""
    if output is None or not output.made:
        return False
    usual = (
        made for one in entry.made for made in (one, one.sigmoid(), one.tanh(), one.softmax(1), one.log_softmax(1))
    )
    scale = output.made[0].abs().max()
    return any(bool((made - output.made[0]).abs().max() <= _ROUNDING * scale) for made in usual)


def _grows(made: Tensor, output: Tensor) -> bool:
    if made.shape != output.shape:
        return False
    return bool((output.gather(1, made.argsort(1)).diff(dim=1) >= 0).all())


def _without_repeats(sightings: list[_Sighting]) -> tuple[Layer, ...]:
    taken = {sighting.digest for sighting in sightings if sighting.layer.penultimate} - {None}
    kept: list[Layer] = []
    for sighting in sightings:
        if sighting.digest in taken and not sighting.layer.penultimate:
            continue
        if sighting.digest is not None:
            taken.add(sighting.digest)
        kept.append(sighting.layer)
    return tuple(kept)


def _digest(tensor: Tensor) -> bytes | None:
    values = tensor.float().contiguous()
    if bool((values == values.flatten()[0]).all()):
        return None
    return hashlib.sha256(values.numpy().tobytes() + str(values.shape[-1]).encode()).digest()
