"""A layer: one tensor of a network that is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layer:
    """One tapped tensor.

    Attributes
    ----------
    name
        Unique. The module's name; `NAME:input` for its input; `NAME#k` for its run k = 1, 2, ... of one forward pass.
        The network's own output is called `output`. Of two layers that would share a name the second is `NAME~2`.
    module, where, call
        Where the tensor is met: module name, "output" or "input", number of the run from 0.
    kind, shape
        "map" (C, H, W), "tokens" (T, C), "sequence" (T, C) or "vector" (C,); of a volume (C, D, H, W) the map
        (C, D H, W), slice below slice; of (C, T), as 1-d convolutions make it, the map (C, 1, T); maps of 1 x 1 and
        single tokens are vectors. The T of a sequence is another for each text or recording; the one written is that
        of the noise.
    prefix
        Number of class and register tokens at the front of the tokens.
    suffix
        How many of these the module makes behind the patches; in what is pooled they follow the others of the prefix.
    class_token
        The first of these is a class token; else all are registers.
    grid
        Rows and columns of patches that the tokens after the prefix are, where they are such a grid.
    channels_last
        The module makes its map as (B, H, W, C); of a sequence, (B, T, C) in place of (B, C, T).
    penultimate
        The input of the classifier: what a linear probe uses.
    selected
        False for a penultimate layer that the caller's pattern did not ask for: it serves the linear probe alone.
    """

    name: str
    module: str
    where: str
    call: int
    kind: str
    shape: tuple[int, ...]
    prefix: int = 0
    class_token: bool = True
    grid: tuple[int, int] | None = None
    channels_last: bool = False
    penultimate: bool = False
    selected: bool = True
    suffix: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """Where the tensor is met."""
        return self.module, self.where, self.call

    def canonical(self, tensor: Tensor) -> Tensor:
        """Return a view with channels last: (B, H, W, C), (B, T, C) or (B, C)."""
        if self.kind == "vector":
            return tensor.reshape(len(tensor), -1)  # also of (B,), as networks of one logit may give
        if self.kind == "map" and tensor.ndim == 3:
            return tensor.transpose(1, 2).unsqueeze(1)
        if self.kind == "map" and tensor.ndim == 5:
            tensor = tensor.flatten(1, 2) if self.channels_last else tensor.flatten(2, 3)
        if self.kind == "map" and not self.channels_last:
            return tensor.permute(0, 2, 3, 1)
        if self.kind == "sequence" and not self.channels_last:
            return tensor.transpose(1, 2)
        if self.suffix:
            front, places, end = tensor.split([self.prefix - self.suffix, self.shape[0] - self.prefix, self.suffix], 1)
            return torch.cat([front, end, places], dim=1)
        return tensor
