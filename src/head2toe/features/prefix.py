"""Class and register tokens: how many stand before and behind the patches, and the grid that the patches fill."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from head2toe.backbones import Backbone
    from head2toe.features.layer import Layer

_CLASS_TOKENS = frozenset({"class_embedding", "cls_token", "class_token"})
_PREFIX_PARAMETERS = _CLASS_TOKENS | {
    "dist_token",
    "distillation_token",
    "reg_token",
    "register_tokens",
    "storage_tokens",
}
_REORDERED = frozenset({"Unroll", "Reroll"})  # modules that put tokens into another order than that of their places
_STAGE_NUMBER = re.compile(r"_?\d+$")
_LIKE_A_CLASS_TOKEN = re.compile(r"^(?:cls|class)(?:_|$)")
_LEAST_ROWS = 2  # of a grid that is guessed without knowing the size of a patch


class PrefixTokens:
    """The class and register tokens of a network, and which of its layers carry them.

    Attributes
    ----------
    count : int
    suffix : int
        How many of them stand behind the patches: what a module calls `num_suffix_tokens`, and the detection tokens of
        YOLOS.
    class_token : bool
        False where all that is known of are registers.
    """

    def __init__(self, backbone: Backbone) -> None:
        module = backbone.module
        self.of_text = getattr(backbone.preprocessing, "prefix", 0)
        front, behind = (_first(module, name) for name in ("num_prefix_tokens", "num_suffix_tokens"))
        tokens: dict[str, int] = {}
        for name, parameter in module.named_parameters():
            kind = _STAGE_NUMBER.sub("", name.rpartition(".")[2])  # one for each stage, never together: cls_token2
            if kind in _PREFIX_PARAMETERS and parameter.ndim in (1, 2, 3):
                tokens[kind] = max(tokens.get(kind, 0), parameter.shape[-2] if parameter.ndim > 1 else 1)
        if not tokens.keys() & _CLASS_TOKENS and _has_class_token(module):
            tokens["cls_token"] = 1
        if front is None:  # of a module that tells how many are behind, those that have a name may be these
            front = 0 if behind else sum(tokens.values())
        self.suffix = _detection_tokens(module) if behind is None else behind
        self.count = front + self.suffix
        self.class_token = not tokens or bool(tokens.keys() & _CLASS_TOKENS)
        self.in_order = not any(_reorders(part) for part in module.modules())
        self.patches = {count for part in module.modules() if (count := _count(part, "num_patches")) is not None}
        self.patch_sizes = {side for part in module.modules() if (side := _patch_size(part)) is not None}

    def count_for(self, layer: Layer, size: tuple[int, int]) -> int:
        """Tokens carry the prefix when what remains is the grid of patches, at the network's own input size or at this.

        A network whose number of patches is unknown has them in a square.
        """
        if layer.kind == "sequence":
            return self.of_text
        if layer.kind != "tokens" or not self.count:
            return 0
        rest = layer.shape[0] - self.count
        if rest < 1:
            return 0
        if not self.patches:
            return self.count if math.isqrt(rest) ** 2 == rest or self._is_grid_without(layer, size) else 0
        elsewhere = layer.shape[0] not in self.patches and self._fills(rest, size) is not None
        return self.count if rest in self.patches or elsewhere else 0

    def grid(self, layer: Layer, size: tuple[int, int]) -> tuple[int, int] | None:
        """Rows and columns in the proportion of the input, where the tokens after the prefix fill them in order."""
        known = layer.kind == "tokens" and self.in_order
        return self._fills(layer.shape[0] - layer.prefix, size) if known else None

    def _is_grid_without(self, layer: Layer, size: tuple[int, int]) -> bool:
        """Tokens of images that are not square fill a grid without the prefix, and with it none."""
        return self._fills(layer.shape[0], size) is None and self._fills(layer.shape[0] - self.count, size) is not None

    def _fills(self, count: int, size: tuple[int, int]) -> tuple[int, int] | None:
        """Rows and columns of so many tokens, from the size of a patch where the network tells it; None: no grid."""
        told = (_patched(count, size, side) for side in sorted(self.patch_sizes))
        found = next((grid for grid in told if grid is not None), None) or _fills_grid(count, size)
        return found if found is not None or self.patch_sizes else _guessed(count, size)


def _reorders(module: nn.Module) -> bool:
    return type(module).__name__ in _REORDERED or callable(getattr(module, "reroll", None))


def _fills_grid(count: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of so many tokens in the proportion of the input; None where they do not fill them."""
    rows = round(math.sqrt(count * size[0] / size[1]))
    return (rows, count // rows) if rows > 0 and rows * round(rows * size[1] / size[0]) == count else None


def _patched(count: int, size: tuple[int, int], side: tuple[int, int]) -> tuple[int, int] | None:
    """The patches of a side that an image has, if they are so many; what is left at its edges is dropped or filled up.

    So 240 x 320 pixels are 17 x 22 or 18 x 23 patches of 14.
    """
    dropped = size[0] // side[0], size[1] // side[1]
    filled = math.ceil(size[0] / side[0]), math.ceil(size[1] / side[1])
    return next((grid for grid in (dropped, filled) if math.prod(grid) == count), None)


def _guessed(count: int, size: tuple[int, int]) -> tuple[int, int] | None:
    sides = range(1, min(size) // _LEAST_ROWS + 1)
    told = (_patched(count, size, (side, side)) for side in sides)
    return next((grid for grid in told if grid is not None), None)


def _patch_size(module: nn.Module) -> tuple[int, int] | None:
    own = getattr(module, "patch_size", None)
    value = getattr(getattr(module, "config", None), "patch_size", None) if own is None else own
    sides = (value, value) if isinstance(value, int) else value
    if not isinstance(sides, tuple | list) or len(sides) != 2:
        return None
    rows, columns = sides
    known = isinstance(rows, int) and isinstance(columns, int) and min(rows, columns) > 0
    return (rows, columns) if known else None


def _has_class_token(module: nn.Module) -> bool:
    named = ((name.rpartition(".")[2], parameter) for name, parameter in module.named_parameters())
    return any(_LIKE_A_CLASS_TOKEN.search(name) and _is_one_token(parameter) for name, parameter in named)


def _is_one_token(parameter: Tensor) -> bool:
    return parameter.ndim in (1, 2, 3) and parameter.numel() == parameter.shape[-1] > 1


def _first(module: nn.Module, name: str) -> int | None:
    told = (_count(part, name) for part in module.modules())
    return next((count for count in told if count is not None), None)


def _detection_tokens(module: nn.Module) -> int:
    told = (_count(getattr(part, "config", None), "num_detection_tokens") for part in module.modules())
    return max((count for count in told if count is not None), default=0)


def _count(module: Any, name: str) -> int | None:
    value = getattr(module, name, None)
    return value if isinstance(value, int) else None
