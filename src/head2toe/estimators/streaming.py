"""Rows batch by batch, from one network or several side by side, and heads applied to them as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from head2toe import features
from head2toe.data import Images
from head2toe.data.views import picked
from head2toe.features.extractor import Batch
from head2toe.probes import LinearHead

_TOGETHER = 128  # images that go through one network before the next network sees them


class Streaming(Protocol):
    """What gives rows batch by batch."""

    def stream(self, images: Images) -> Iterator[Batch]:
        """See `features.Extractor.stream`."""
        ...


class JointExtractor:
    """Extractors of several networks, whose rows stand side by side."""

    def __init__(self, parts: list[features.Extractor]) -> None:
        self._parts = parts

    def stream(self, images: Images) -> Iterator[Batch]:
        """See `features.Extractor.stream`."""
        for start in range(0, len(images), _TOGETHER):
            stretch = picked(images, range(start, min(start + _TOGETHER, len(images))))
            found = [_gathered(one.stream(stretch), one.width) for one in self._parts]
            rows = np.concatenate([batch.rows for batch in found], axis=1)
            moved = [replace(one, index=one.index + start) for one in found[0].skipped]
            yield Batch(found[0].indices + start, rows, moved)


def _gathered(batches: Iterator[Batch], width: int) -> Batch:
    indices, rows, skipped = [np.empty(0, np.int64)], [np.empty((0, width), np.float32)], []
    for batch in batches:
        indices.append(batch.indices)
        rows.append(batch.rows.copy())
        skipped += batch.skipped
    return Batch(np.concatenate(indices), np.concatenate(rows), skipped)


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
