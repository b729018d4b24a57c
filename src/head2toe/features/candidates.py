"""Candidates: which modules of a network are worth a look, told by their place, class and name before it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeGuard

from torch import nn

_NO_ACTIVATION = ("MultiheadAttention", "Softmax", "Softmax2d", "LogSoftmax", "Softmin")
_ACTIVATIONS = tuple(
    getattr(nn.modules.activation, name) for name in nn.modules.activation.__all__ if name not in _NO_ACTIVATION
)
_ACTIVATION_HOMES = ("timm.layers.activations", "transformers.activations")
_ACTIVATION_NAME = re.compile(r"(?:ReLU|GELU|SiLU|Swish|Mish|TLU|GammaAct|Activation)$|^(?:EvoNorm|FilterResponseNorm)")
_EMBEDDING = re.compile(r"Embed(der|ding|dings)?$|Patch(ify|Embed)")
_EMBEDDING_NAMES = frozenset(
    {"patch_embed", "patch_embedding", "patch_embeddings", "embeddings", "pos_drop", "norm_pre"}
)
_ATTENTION_OR_MLP = re.compile(r"Attention|Attn|MLP|Mlp|FeedForward|FFN")
_ATTENTION_OR_MLP_NAMES = frozenset({"attn", "attention", "self_attn", "self_attention", "mlp", "ffn", "feed_forward"})
_POOL = re.compile(r"Pool")
_OF_WEIGHTS = "parametrizations"  # what torch.nn.utils.parametrize calls the part that makes weights, not features
Wanted = dict[tuple[str, str], str]

_ENOUGH = 3  # taps inside a network of three layers or more
_LEAVES_A_TAP = 30
_DIVISORS = (2, 4, 8, 16, 32)  # parts of less than half of the parameters, then finer ones


def candidates(module: nn.Module, classifier: str | None) -> Wanted:
    """Return the taps to watch: (module name, where) -> "any", "vector" (only if it is one) or "linear" (an input).

    Where classes and names tell few, as in a network that calls its activations as functions, its parts are taken by
    their share of the parameters as well.
    """
    taps = _told(module, classifier)
    for divisor in _DIVISORS:
        if not _is_few(module, classifier, taps):
            break
        parts = [name for name in _parts(module, divisor) if name != classifier]
        taps |= {(name, "output"): "any" for name in parts}
    if classifier is not None:
        taps[classifier, "input"] = taps[classifier, "output"] = "any"
    taps["", "output"] = "any"
    return taps


def _told(module: nn.Module, classifier: str | None) -> Wanted:
    """Taps told by place, class and name."""
    names = {id(child): name for name, child in module.named_modules()}
    blocks = {
        names[id(child)]
        for parent in module.modules()
        if parent is module or _holds_blocks(parent)
        for child in parent.children()
        if not is_leaf(child)
    }
    taps: Wanted = {}
    for name, child in module.named_modules():
        if classifier is None and isinstance(child, nn.Linear):
            taps[name, "input"] = "linear"
        if name in blocks or _is_activation(child) or _is_part(name, child):
            taps[name, "output"] = "any"
        elif _POOL.search(type(child).__name__):
            taps[name, "output"] = "vector"
    weighing = [name for name, child in module.named_modules() if is_leaf(child) and _parameters(child)]
    if classifier is None and weighing and is_pointwise(module.get_submodule(weighing[-1])):
        taps[weighing[-1], "input"] = "linear"
    return {(name, where): kind for (name, where), kind in taps.items() if f".{_OF_WEIGHTS}." not in f".{name}."}


def is_pointwise(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a convolution that makes each place's outputs from that place alone, as a classifier may."""
    plain = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
    return plain and module.stride == (1, 1) and module.padding == (0, 0)


def _holds_blocks(module: nn.Module) -> bool:
    # A child class of ModuleDict has a forward of its own (DenseNet's blocks): it is a block, and holds none.
    return isinstance(module, nn.Sequential | nn.ModuleList) or type(module) is nn.ModuleDict


def _is_few(module: nn.Module, classifier: str | None, taps: Wanted) -> bool:
    """Whether taps leave most of a network unseen: fewer than three inside it, or than one for thirty layers.

    A network of two layers needs no third tap: norms and the last layer, which makes the output, do not count.
    """
    inside = sum(
        kind == "any" and name not in ("", classifier) and not _never_runs(module.get_submodule(name))
        for (name, _), kind in taps.items()
    )
    leaves = [child for child in module.modules() if is_leaf(child) and _parameters(child)]
    weighing = sum(any(weight.ndim > 1 for weight in leaf.parameters()) for leaf in leaves)
    return inside < min(_ENOUGH, weighing - 1) or inside * _LEAVES_A_TAP < len(leaves)


def _never_runs(module: nn.Module) -> bool:
    return type(module) in (nn.ModuleList, nn.ModuleDict)


def _parts(module: nn.Module, divisor: int, prefix: str = "", whole: int = 0) -> Iterator[str]:
    """The largest parts with less than one of `divisor` equal shares of the parameters, and larger single layers."""
    whole = whole or _parameters(module)
    for name, child in module.named_children():
        held = _parameters(child)
        if held and (is_leaf(child) or held * divisor < whole):
            yield prefix + name
        elif held:
            yield from _parts(child, divisor, f"{prefix}{name}.", whole)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def is_leaf(module: nn.Module) -> bool:
    """Whether a module has no parts but those that its weights are made of."""
    return all(name == _OF_WEIGHTS for name, _ in module.named_children())


def _is_activation(module: nn.Module) -> bool:
    if type(module).__name__ in _NO_ACTIVATION:
        return False
    known = isinstance(module, _ACTIVATIONS) or type(module).__module__.startswith(_ACTIVATION_HOMES)
    return known or (is_leaf(module) and bool(_ACTIVATION_NAME.search(type(module).__name__)))


def _is_part(name: str, module: nn.Module) -> bool:
    """Tell patch embeddings, attentions and MLPs by their class or by their name."""
    kind, leaf = type(module).__name__, name.rpartition(".")[2]
    embedding = bool(_EMBEDDING.search(kind)) or leaf in _EMBEDDING_NAMES
    return embedding or bool(_ATTENTION_OR_MLP.search(kind)) or leaf in _ATTENTION_OR_MLP_NAMES
