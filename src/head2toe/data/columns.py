"""Columns of tables, and arrays of objects, as lists of their items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def as_array(obj: Any) -> Any:
    """The array of a column of pandas or polars; anything else is itself."""
    return getattr(obj, "to_numpy", lambda: obj)()


def flat(array: np.ndarray) -> np.ndarray:
    """An array (n, 1), such as a table of one column, as (n,); any other as it is."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def items_of(items: Any) -> list[Any] | None:
    """The items of an array (n,) or of a sequence; None of other arrays, of bytes, and of what is no sequence."""
    if isinstance(items, np.ndarray) and items.ndim == 1:
        return items.tolist()
    return list(items) if isinstance(items, Sequence) and not isinstance(items, bytes) else None
