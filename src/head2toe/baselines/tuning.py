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

from head2toe.baselines.training import Schedule, train

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
    """A trained network, the learning rate chosen, and the table it was chosen from: learning_rate, accuracy, loss."""

    network: nn.Module
    learning_rate: float
    table: list[dict[str, float]]

    @property
    def accuracy(self) -> float:
        """On the held-out images, at the learning rate chosen."""
        return max(row["accuracy"] for row in self.table)


def tune(
    start: Callable[[np.ndarray | None], nn.Module],
    pixels: Pixels,
    y: Tensor,
    split: tuple[np.ndarray, np.ndarray],
    schedule: Schedule,
    rates: Sequence[float],
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Tuned:
    """Train with each learning rate on one part, judge on the other, and train on all images with the best.

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
    """
    train_part, held_out = split
    total = (len(rates) + 1) * schedule.steps
    table = []
    for run, rate in enumerate(rates):
        network = _trained(start(train_part), pixels, y, train_part, replace(schedule, learning_rate=rate), run, total,
                           told)  # fmt: skip
        logits = logits_of(network, pixels, pixels.x[held_out])
        loss = cross_entropy(logits, y[held_out]).item()
        accuracy = (logits.argmax(1) == y[held_out]).double().mean().item()
        diverged = not math.isfinite(loss)  # what argmax makes of NaN is no prediction
        table.append({"learning_rate": rate, "accuracy": 0.0 if diverged else accuracy, "loss": loss})
    best = max(table, key=lambda row: (row["accuracy"], -row["loss"]))["learning_rate"]
    everything = np.arange(len(y))
    chosen = replace(schedule, learning_rate=best)
    network = _trained(start(None), pixels, y, everything, chosen, len(rates), total, told)
    return Tuned(network, best, table)


@torch.no_grad()
def logits_of(network: nn.Module, pixels: Pixels, x: Tensor) -> Tensor:
    """Logits of images after the preprocessing's first step, (n, c)."""
    network.eval()
    return torch.cat([network(pixels.batch(part)) for part in x.split(_TOGETHER)])


def _trained(
    network: nn.Module,
    pixels: Pixels,
    y: Tensor,
    rows: np.ndarray,
    schedule: Schedule,
    run: int,
    total: int,
    told: Callable[[int, int], None],
) -> nn.Module:
    schedule = replace(schedule, batch_size=min(schedule.batch_size, len(rows)))
    done = run * schedule.steps
    return train(network, pixels.x[rows], y[rows], pixels.batch, schedule, lambda step: told(done + step, total))
