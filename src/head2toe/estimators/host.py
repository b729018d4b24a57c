"""Tensors, wherever they are, as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def on_host(X: Any) -> Any:
    """A tensor as an array, without a copy where it lies on the CPU; whatever else it is, as it is."""
    if not isinstance(X, torch.Tensor):
        return X
    host = X.detach().cpu()
    return (host.float() if host.dtype == torch.bfloat16 else host).numpy()  # NumPy has no bfloat16


def columns_on_host(X: Any, columns: np.ndarray) -> np.ndarray:
    """Some columns of an array or a tensor (n, d), a copy (n, K)."""
    if isinstance(X, torch.Tensor):
        return on_host(X.index_select(1, torch.from_numpy(columns).to(X.device)))
    return np.take(X, columns, axis=1)
