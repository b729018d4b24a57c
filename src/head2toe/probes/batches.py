"""Batches of rows, drawn epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def batches(rows: torch.Tensor, size: int, steps: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Row numbers of each step, every epoch in a new order; batches run on across epochs, so that all are full."""
    left = rows[:0]
    for _ in range(steps):
        if len(left) < size:
            left = torch.cat([left, rows[torch.randperm(len(rows), generator=generator)]])
        yield left[:size]
        left = left[size:]
