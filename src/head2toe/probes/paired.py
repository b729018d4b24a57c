"""How candidates and a rival differ, judged on the same held-out rows."""

from __future__ import annotations

import numpy as np


def effective_images(rows: np.ndarray, share: np.ndarray) -> float:
    """How many images of equal weight would say as much: ``1 / sum_i s_i^2``, s an image's share (Kish 1965).

    Parameters
    ----------
    rows : int64 array (held-out rows,)
        Numbers of the images; repeats of cross-validation are no new ones.
    share : array (held-out rows,)
        Weights of these rows; they sum to one.
    """
    return float(1 / np.square(np.bincount(rows, weights=share)).sum())


def paired_difference(
    some: np.ndarray, rival: np.ndarray, share: np.ndarray, images: float, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """``rival - some``, weighted means of hits or of losses, and the standard error of each (paired) difference.

    Of hits it says how much less accurate each candidate is than the rival; of losses, how far its own is lower.

    Parameters
    ----------
    some : array (candidates, held-out rows)
        Hits (right or wrong) or losses.
    rival : array (held-out rows,)
        The same of the rival.
    share : array (held-out rows,)
        Weights of these rows; they sum to one.
    images : float
        `effective_images` among the rows.
    groups : int64 array (held-out rows,), optional
        Rows of one number belong together, and may be right or wrong together.

    Returns
    -------
    difference, error : array (candidates,)
    """
    difference = rival.astype(np.float32) - some.astype(np.float32)
    mean = difference @ share
    variance = np.maximum(difference**2 @ share - mean**2, 0) / images
    if groups is not None:
        variance = np.maximum(variance, _between(share * (difference - mean[:, None]), groups))
    return mean, np.sqrt(variance)


def _between(parts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Variance (k,) of sums of numbers (k, rows) that are independent between groups alone (Liang and Zeger 1986)."""
    order = np.argsort(groups, kind="stable")
    _, first = np.unique(groups[order], return_index=True)
    sums = np.add.reduceat(parts[:, order], first, axis=1)
    return np.square(sums).sum(axis=1) * len(first) / max(1, len(first) - 1)
