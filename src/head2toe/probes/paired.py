"""How far candidates are behind a rival, judged on the same held-out rows."""

from __future__ import annotations

import numpy as np


def behind(hits: np.ndarray, rival: np.ndarray, share: np.ndarray, images: int) -> tuple[np.ndarray, np.ndarray]:
    """How much less accurate each candidate is than a rival, and the standard error of that (paired) difference.

    Parameters
    ----------
    hits : bool array (candidates, held-out rows)
        Right or wrong.
    rival : bool array (held-out rows,)
    share : array (held-out rows,)
        Weights of these rows; they sum to one.
    images : int
        Distinct images among the rows: repeats of cross-validation are no new ones.
    """
    difference = rival.astype(np.float32) - hits.astype(np.float32)
    gap = difference @ share
    return gap, np.sqrt(np.maximum(difference**2 @ share - gap**2, 0) / images)
