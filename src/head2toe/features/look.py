"""A look at a network: passes on noise, and the usable taps that they show."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from head2toe.backbones.running import run
from head2toe.errors import PreprocessingError, one_line
from head2toe.features.axes import Key, Shape, is_open, layer_of
from head2toe.features.candidates import Wanted, candidates
from head2toe.features.hooks import watch
from head2toe.features.noise import noise_batch, takes_sequences
from head2toe.features.outputs import first_tensor
from head2toe.features.sighting import Sighting

if TYPE_CHECKING:
    from head2toe.backbones import Backbone

log = logging.getLogger(__name__)

# Three images tell the batch axis from most other axes, and fewer from the others.
_IMAGES, _FEWER = 3, 2
_OF_GRADIENTS = "require grad", "requires grad", "requires_grad", "grad_fn"  # PyTorch's words of what has none
_ROUNDING = 1e-3  # of the largest number: what two looks at the same images may differ by


@dataclass(frozen=True)
class Look:
    """What passes on noise showed.

    Attributes
    ----------
    size
        Height and width of the images; of sequences (inputs, tokens), for their axes are told by other lengths.
    sightings
        In order of execution: tensors with a row an input, be they three or two.
    sideways
        Names of modules whose outputs have the images along the second axis.
    other_lengths
        Shapes of tensors (without the first axis) for sequences of another length; none where there are no such.
    """

    size: tuple[int, int]
    sightings: list[Sighting]
    sideways: list[str]
    other_lengths: dict[Key, Shape]


def look(backbone: Backbone) -> Look:
    """Run the network on noise of one length and another or, where axes cannot be told apart, of two widths.

    A warning is logged where the numbers of an image depend on chance, or on the batch.

    Raises
    ------
    PreprocessingError
        The network does not run on what its preprocessing makes.
    """
    wanted = candidates(backbone.module, backbone.classifier)
    noise = noise_batch(backbone, _IMAGES)
    sequences = takes_sequences(backbone)
    second = noise_batch(backbone, _FEWER, "second") if sequences else noise
    longer = _watched(backbone, wanted, second)[1] if sequences else {}
    seen = _Pass(backbone, wanted, noise, longer, {})
    if seen.is_open and not sequences:
        seen = _Pass(backbone, wanted, noise, {}, _wider_shapes(backbone, wanted, noise))
    with_rows = _check_company(backbone, wanted, noise, seen.output)
    sightings = [one for one in seen.sightings if one.layer.key in with_rows]
    return Look(seen.size, sightings, seen.sideways, longer if second.shape[1:] != noise.shape[1:] else {})


class _Pass:
    """One forward pass on noise, and the usable taps that it showed.

    Parameters
    ----------
    backbone, wanted
    noise
        What the network takes.
    longer, wider : dict
        Shapes of the same tensors for longer sequences, and for wider images.
    """

    def __init__(
        self, backbone: Backbone, wanted: Wanted, noise: Tensor, longer: dict[Key, Shape], wider: dict[Key, Shape]
    ) -> None:
        self.size = (noise.shape[-2], noise.shape[-1])
        self.sightings: list[Sighting] = []
        self.sideways: list[str] = []
        self.is_open = False  # there is a tensor whose proportions do not tell its channels
        self._module, self._wanted, self._longer, self._wider = backbone.module, wanted, longer, wider
        self._in_line = any(isinstance(part, nn.Conv1d) for part in backbone.module.modules())
        with watch(backbone.module, wanted, self._see):
            self.output = _try(backbone, noise.clone())  # a network may write into its input

    def _see(self, name: str, where: str, call: int, value: Any) -> None:
        tensor = first_tensor(value, _IMAGES)
        if tensor is None or not tensor.is_floating_point() or not tensor.ndim:
            return
        tensor = tensor.detach()  # of a forward that turns gradients on
        if tensor.ndim == 1 and not name:
            tensor = tensor[:, None]  # one number an image, as networks of one logit may give
        if tensor.ndim < 2:
            return
        is_guess = self._wanted[name, where] == "linear"
        if len(tensor) != _IMAGES:
            # Inputs that are watched only to find the classifier would be no layer anyway.
            if not is_guess and tensor.ndim == 3 and tensor.shape[1] == _IMAGES:
                self.sideways.append(name)
            return
        key = name, where, call
        self.is_open |= is_open(tensor, self.size) or (self._in_line and tensor.ndim == 3)
        layer = layer_of(key, tensor, self.size, self._longer.get(key), self._wider.get(key))
        if layer is None or (self._wanted[name, where] == "vector" and layer.kind != "vector"):
            return
        self.sightings.append(Sighting.of(self._module, layer, tensor, is_guess=is_guess))


def _wider_shapes(backbone: Backbone, wanted: Wanted, noise: Tensor) -> dict[Key, Shape]:
    """Shapes for images twice as wide; none where the network takes no such images."""
    try:
        return _watched(backbone, wanted, torch.cat([noise[:_FEWER]] * 2, dim=-1))[1]
    except PreprocessingError:
        return {}


def _check_company(backbone: Backbone, wanted: Wanted, noise: Tensor, output: Any) -> set[Key]:
    """Look again, at the same images and at fewer: warn where numbers are others; the taps with a row for each."""
    again = _try(backbone, noise.clone())
    fewer, shapes = _watched(backbone, wanted, noise[:_FEWER])
    if not _same(output, again, _IMAGES):
        log.warning(
            "%s gives other numbers for the same images at a second look: its rows are partly chance; switch off what "
            "is random in it (dropout called as a function, masking)",
            backbone.spec,
        )
    elif not _same(output, fewer, _FEWER):
        log.warning(
            "%s gives other numbers for an image in other company: its rows depend on the batch they are in; make its "
            "norms use running statistics",
            backbone.spec,
        )
    return set(shapes)


def _same(first: Any, second: Any, count: int) -> bool:
    """Whether two outputs are the same numbers for the first `count` inputs, up to rounding."""
    a, b = first_tensor(first, _IMAGES), first_tensor(second, count)
    if a is None or b is None or not a.is_floating_point() or not a.ndim:
        return True
    a = a[:count]
    if not bool(a.isfinite().all()):  # told where rows are made
        return True
    return a.shape == b.shape and bool((a - b).abs().max() <= _ROUNDING * a.abs().max())


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


def _try(backbone: Backbone, batch: Tensor) -> Any:
    try:
        return run(backbone.module, batch)
    except Exception as error:  # whatever a network says of images that do not suit it
        takes, reason = backbone.preprocessing.takes, one_line(error)
        raise PreprocessingError(
            f"{backbone.spec} does not run on {takes} {tuple(batch.shape[1:])} as its preprocessing makes them "
            f"({type(error).__name__}: {reason}): {_cure(batch, takes, reason)}"
        ) from error


def _cure(batch: Tensor, takes: str, reason: str) -> str:
    if any(words in reason for words in _OF_GRADIENTS):
        return (
            "its forward takes gradients, and here it runs without: take those of its input alone, by "
            "torch.autograd.grad inside torch.enable_grad()"
        )
    batched = "leave unsqueeze(0) out of the transform; else " if batch.ndim == 5 and batch.shape[1] == 1 else ""
    return f"{batched}pass the size and channels it takes, and a module that takes {takes} alone"
