"""Tensors, wherever they are, as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from head2toe.data.decoding import values_of


def on_host(X: Any) -> Any:
    """A tensor as an array, without a copy where it lies on the CPU; whatever else it is, as it is.

    Raises
    ------
    DataFormatError
        The tensor is sparse, or on the meta device.
    """
    return values_of(X, "the data") if isinstance(X, torch.Tensor) else X


def columns_on_host(X: Any, columns: np.ndarray) -> np.ndarray:
    """Some columns of an array or a tensor (n, d), a copy (n, K)."""
    if isinstance(X, torch.Tensor):
        return on_host(X.index_select(1, torch.from_numpy(columns).to(X.device)))
    return np.take(X, columns, axis=1)
