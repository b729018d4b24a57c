"""How uncertain an accuracy is, of test images that were drawn."""

from __future__ import annotations

import numpy as np


def standard_error(share: float, n: int) -> float:
    """One standard error of the share of n images that are right, both in [0, 1]: ``sqrt(p (1 - p) / n)``."""
    return float(np.sqrt(share * (1 - share) / n))
