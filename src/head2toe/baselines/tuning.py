"""Training a network whose learning rate is chosen on held-out images, whatever the network is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from head2toe.baselines.training import Schedule, device_of, products, train
from head2toe.errors import ParameterError

_TOGETHER = 64  # images of a forward pass without gradients


@dataclass(frozen=True)
class Pixels:
    """Images as a network's preprocessing takes them.

    Attributes
    ----------
    x : tensor (n, ...)
        After the preprocessing's first step; uint8 for a checkpoint's own.
    preprocessing
        Of the backbone.
    """

    x: Tensor
    preprocessing: Any

    @staticmethod
    def of(images: Any, preprocessing: Any) -> Pixels:
        """Read n images, all into memory."""
        rows = [preprocessing.image(images[i]) for i in range(len(images))]
        tensors = [row if isinstance(row, Tensor) else torch.from_numpy(np.array(row)) for row in rows]
        return Pixels(torch.stack(tensors), preprocessing)

    def batch(self, x: Tensor) -> Tensor:
        """The network's input, float32 (B, channels, H, W)."""
        return self.preprocessing.batch(list(x.numpy()) if x.dtype == torch.uint8 else list(x))


@dataclass(frozen=True)
class Tuned:
    """A trained network, the learning rate chosen, and the table it was chosen from: learning_rate, accuracy, loss.

    A run that diverged has accuracy 0 and an infinite loss. Where the run on all images diverges, the next best rate is
    chosen. With one learning rate there is no choice and no table.
    """

    network: nn.Module
    learning_rate: float
    table: list[dict[str, float]]
    final_runs: int  # on all images; more than one where some diverged

    @property
    def accuracy(self) -> float:
        """On the held-out images, at the learning rate chosen; NaN without a table."""
        return next((row["accuracy"] for row in self.table if row["learning_rate"] == self.learning_rate), math.nan)


def tune(
    start: Callable[[np.ndarray | None], nn.Module],
    pixels: Pixels,
    y: Tensor,
    split: tuple[np.ndarray, np.ndarray],
    schedule: Schedule,
    rates: Sequence[float],
    told: Callable[[int, int], None] = lambda done, total: None,
    *,
    device: torch.device | str = "cpu",
) -> Tuned:
    """Train with each learning rate on one part, judge on the other, and train on all images with the best.

    With one learning rate nothing is held out.

    Parameters
    ----------
    start : callable
        Makes a new network for the training images with these numbers; None: for all of them. Whatever it takes from
        the images must come from those alone.
    pixels : Pixels of n images
    y : int64 tensor (n,)
    split : two int64 arrays
        Images to train on, and images held out.
    schedule : Schedule
        Its learning rate is not used.
    rates : sequence of float
    told : callable(done, total)
        Told after every gradient step.
    device : device or str
        Where the networks are trained; the one returned stays there.

    Returns
    -------
    Tuned

    Raises
    ------
    ParameterError
        Training diverges with every learning rate.
    """
    tried = tuple(rates) if len(rates) > 1 else ()
    total = (len(tried) + 1) * schedule.steps

    def trained(rows: np.ndarray | None, rate: float, run: int) -> nn.Module:
        part = np.arange(len(y)) if rows is None else rows
        own = replace(schedule, learning_rate=rate, batch_size=min(schedule.batch_size, len(part)))
        done, network = run * schedule.steps, start(rows).to(device)
        return train(network, pixels.x[part], y[part], pixels.batch, own, lambda step: told(done + step, total))

    table = []
    for run, rate in enumerate(tried):
        network = trained(split[0], rate, run)
        reached = accuracy_and_loss(logits_of(network, pixels, pixels.x[split[1]]), y[split[1]])
        table.append({"learning_rate": float(rate), **reached})
    ranked = sorted(table, key=lambda row: (-row["accuracy"], row["loss"]))
    for runs, rate in enumerate([row["learning_rate"] for row in ranked] or [float(rates[0])], start=1):
        network = trained(None, rate, len(tried))
        if _is_finite(network):
            return Tuned(network, rate, table, runs)
    known = ", ".join(map(str, rates))
    raise ParameterError(f"training diverged with every learning rate, {known}: smaller ones may do")


def _is_finite(network: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in network.parameters())


@torch.no_grad()
def logits_of(network: nn.Module, pixels: Pixels, x: Tensor) -> Tensor:
    """Logits of images after the preprocessing's first step, float32 (n, c) on the CPU."""
    network.eval()
    device = device_of(network)
    with products(device):
        return torch.cat([network(pixels.batch(part).to(device)).float().cpu() for part in x.split(_TOGETHER)])


def accuracy_and_loss(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Share of the rows of logits (n, c) whose largest is that of the class y (n,), and their mean cross-entropy."""
    loss = cross_entropy(logits, y).item()
    if not math.isfinite(loss):  # diverged: what argmax makes of NaN is no prediction
        return {"accuracy": 0.0, "loss": math.inf}
    return {"accuracy": (logits.argmax(1) == y).double().mean().item(), "loss": loss}
