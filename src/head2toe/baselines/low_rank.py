"""LoRA: low-rank updates of a frozen backbone's weights, through `peft`."""

from __future__ import annotations

import copy
import importlib.util
import re
import warnings
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from head2toe.backbones import Backbone
from head2toe.backbones.running import run
from head2toe.baselines.finetune import replace_head
from head2toe.baselines.training import keep_statistics
from head2toe.errors import MissingDependencyError, ParameterError, one_line
from head2toe.features.hooks import watch
from head2toe.features.noise import noise_batch

RANK = 8


def low_rank(backbone: Backbone, classes: int, *, rank: int = RANK, seed: int = 0) -> nn.Module:
    """A copy of the backbone with a new head, and low-rank updates of linear layers, attention, ungrouped convolutions.

    Hu et al., ICLR 2022: ``W + 2 B A`` of rank r, with B zero at first: training starts from the backbone itself.
    Only A, B and the head have gradients, and nothing else changes: batch normalisation keeps its statistics. A layer
    whose weights another module uses in its place stays as it is, for its updates would be used by nobody.

    Parameters
    ----------
    backbone : Backbone
        With a linear classifier.
    classes : int
    rank : int
    seed : int

    Raises
    ------
    MissingDependencyError
        `peft` is not installed, or cannot be imported.
    ParameterError
        The backbone has no classifier, or nothing that LoRA can update.
    """
    if backbone.classifier is None:
        raise ParameterError(f"{backbone.spec} has no classifier to replace: use a backbone with one")
    network = copy.deepcopy(backbone.module)
    replace_head(network, backbone.classifier, classes)
    names = _updated(replace(backbone, module=network))
    if not names:
        raise ParameterError(f"{backbone.spec} has no linear layer or convolution for LoRA: use another backbone")
    peft = _peft()
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules="|".join(re.escape(name) for name in names),
        modules_to_save=[backbone.classifier],
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft: it expects a language model
        torch.manual_seed(seed)
        return _LowRank(peft.get_peft_model(network, config))


class _LowRank(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Tensor) -> Any:
        return self.network(batch)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        keep_statistics(self)
        return self


def updates(network: nn.Module) -> dict[str, Tensor]:
    """What must be kept of a trained one: A and B of every layer, and the head."""
    return {name: part.detach() for name, part in network.named_parameters() if part.requires_grad}


def _updated(backbone: Backbone) -> list[str]:
    """Names of the layers that get updates: those that are called, and not used through their weights."""
    called: dict[str, None] = {}

    def see(name: str, *_: Any) -> None:
        called[name] = None

    parts = [name for name, part in backbone.module.named_modules() if name != backbone.classifier and _takes(part)]
    with watch(backbone.module, [(name, "output") for name in parts], see):
        run(backbone.module, noise_batch(backbone, 2))
    return list(called)


def _takes(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return module._qkv_same_embed_dim  # noqa: SLF001 - peft knows no other
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        there = importlib.util.find_spec("peft") is not None  # but of a version that its own needs do not fit
        why = f"which cannot be imported: {one_line(error)}" if there else "pip install peft"
        raise MissingDependencyError(f"LoRA needs peft{', ' if there else ': '}{why}") from error
    return peft
