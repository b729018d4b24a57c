"""Heads applied to rows as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from head2toe import features
from head2toe.estimators.networks import Streaming
from head2toe.probes import LinearHead


def columns_read(heads: Sequence[LinearHead]) -> np.ndarray:
    """The columns that some heads read together, int64, ascending."""
    return np.unique(np.concatenate([head.indices.numpy() for head in heads]))


def stream_logits(
    network: Streaming, images: Any, heads: Sequence[LinearHead]
) -> tuple[list[np.ndarray], np.ndarray, tuple[features.Skipped, ...]]:
    """Logits of each head, batch by batch: memory does not grow with the number of images but for the logits.

    Parameters
    ----------
    network : Streaming
        Makes the columns `columns_read(heads)`.
    images
        n images.
    heads : sequence of LinearHead

    Returns
    -------
    Logits (m, c) float32 of each head, the numbers (m,) of the images that could be read, and those that could not.
    """
    columns = columns_read(heads)
    places = [torch.from_numpy(np.searchsorted(columns, head.indices.numpy())) for head in heads]
    logits: list[list[np.ndarray]] = [[np.empty((0, len(head.intercept)), np.float32)] for head in heads]
    kept, skipped = [np.empty(0, np.int64)], []
    for batch in network.stream(images):
        rows = torch.from_numpy(batch.rows)
        for head, place, gathered in zip(heads, places, logits, strict=True):
            gathered.append(head.logits(rows[:, place]).numpy())
        kept.append(batch.indices)
        skipped += batch.skipped
    return [np.concatenate(parts) for parts in logits], np.concatenate(kept), tuple(skipped)
