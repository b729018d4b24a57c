"""The one loop that trains a whole network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from head2toe.backbones.running import runs
from head2toe.baselines.augmentation import augmented
from head2toe.probes.batches import batches

MOMENTUM = 0.9


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes
    ----------
    steps : int
        Gradient steps.
    learning_rate : float
        At the first step; it decays to 0 along half a cosine.
    batch_size : int
        At most the number of images.
    seed : int
        Of the order of the images.
    optimiser : "sgd" or "adam"
        SGD with Nesterov momentum 0.9, or Adam.
    largest_gradient : float, optional
        Norm over all parameters that a step's gradient is shortened to; None: never.
    keep_statistics : bool
        Batch normalisation keeps the statistics it has.
    augment : bool
        Random crops and mirror images, see `augmentation.augmented`.
    """

    steps: int
    learning_rate: float
    batch_size: int
    seed: int
    optimiser: Literal["sgd", "adam"] = "sgd"
    largest_gradient: float | None = None
    keep_statistics: bool = False
    augment: bool = False


def train(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    batch: Callable[[Tensor], Tensor],
    schedule: Schedule,
    report: Callable[[int], None],
) -> nn.Module:
    """Train `network` in place, on its device, on cross-entropy; parameters without gradients stay as they are.

    Parameters
    ----------
    x : tensor (n, ...)
        Images as the preprocessing's first step left them.
    y : int64 tensor (n,)
    batch : callable
        Rows of `x` to the network's input, float32 (B, channels, H, W).
    report : callable
        Given the number of steps done, after each.

    Returns
    -------
    Module
        `network`, in eval mode.
    """
    device = device_of(network)
    layout = _layout(network, batch(x[:2]).to(device))
    network.train()
    if schedule.keep_statistics:
        keep_statistics(network)
    optimiser = _optimiser(network, schedule)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)  # dropout and stochastic depth, where a network has them
        for step, rows in enumerate(_shuffled(len(x), schedule), start=1):
            images = augmented(batch(x[rows])) if schedule.augment else batch(x[rows])
            with products(device):
                loss = cross_entropy(network(images.to(device, memory_format=layout)), y[rows].to(device))
            optimiser.zero_grad()
            loss.backward()
            if schedule.largest_gradient is not None:
                nn.utils.clip_grad_norm_(network.parameters(), schedule.largest_gradient)
            optimiser.step()
            decay.step()
            report(step)
    return network.eval()


def device_of(network: nn.Module) -> torch.device:
    """Where the network's parameters are."""
    return next(network.parameters()).device


def keep_statistics(network: nn.Module) -> None:
    """Put batch normalisation into eval mode, whatever the rest is in: the statistics are those of the backbone."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the base of all of them
            module.eval()


def products(device: torch.device) -> AbstractContextManager[Any]:
    """What surrounds a forward pass: on CUDA products in bfloat16, as fine-tuning is done there; else float32."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _layout(network: nn.Module, images: Tensor) -> torch.memory_format:
    """Channels last trains faster, but code such as `x.view(len(x), -1)` of a map does not run on it."""
    if images.ndim != 4:
        return torch.preserve_format
    with products(images.device):
        fits = runs(network.eval(), images.to(memory_format=torch.channels_last))
    return torch.channels_last if fits else torch.contiguous_format


def _optimiser(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if schedule.optimiser == "adam":
        return torch.optim.Adam(trained, lr=schedule.learning_rate)
    return torch.optim.SGD(trained, lr=schedule.learning_rate, momentum=MOMENTUM, nesterov=True)


def _shuffled(n: int, schedule: Schedule) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(schedule.seed)
    return batches(torch.arange(n), schedule.batch_size, schedule.steps, generator)
