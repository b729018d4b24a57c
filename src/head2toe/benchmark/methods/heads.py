"""Heads on rows: what they say, and what must be kept of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from head2toe.probes import LinearHead


def of_rows(head: Any) -> Callable[[np.ndarray], np.ndarray]:
    """From rows (b, d) to class numbers (b,), by any head with `indices` and `logits`."""
    indices = head.indices.numpy()

    def predict(rows: np.ndarray) -> np.ndarray:
        kept = torch.from_numpy(np.take(rows, indices, axis=1))
        return head.logits(kept).argmax(dim=1).numpy()

    return predict


def tensors(head: Any) -> dict[str, torch.Tensor]:
    """The head's tensors, as a saved probe keeps them."""
    if isinstance(head, LinearHead):
        return {name: value.contiguous() for name, value in head.tensors().items()}
    found = {part.name: getattr(head, part.name) for part in fields(head)}
    kept = {name: value.contiguous() for name, value in found.items() if isinstance(value, torch.Tensor)}
    return {**kept, "indices": kept["indices"].to(torch.int32)}
