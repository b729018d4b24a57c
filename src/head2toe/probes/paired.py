"""How far candidates are behind a rival, judged on the same held-out rows."""

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


def behind(
    hits: np.ndarray, rival: np.ndarray, share: np.ndarray, images: float, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """How much less accurate each candidate is than a rival, and the standard error of that (paired) difference.

    Parameters
    ----------
    hits : array (candidates, held-out rows)
        Right or wrong; or losses, of which a candidate is behind by how far its own are lower.
    rival : array (held-out rows,)
    share : array (held-out rows,)
        Weights of these rows; they sum to one.
    images : float
        `effective_images` among the rows.
    groups : int64 array (held-out rows,), optional
        Rows of one number belong together, and may be right or wrong together.
    """
    difference = rival.astype(np.float32) - hits.astype(np.float32)
    gap = difference @ share
    variance = np.maximum(difference**2 @ share - gap**2, 0) / images
    if groups is not None:
        variance = np.maximum(variance, _between(share * (difference - gap[:, None]), groups))
    return gap, np.sqrt(variance)


def _between(parts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Variance (k,) of sums of numbers (k, rows) that are independent between groups alone (Liang and Zeger 1986)."""
    order = np.argsort(groups, kind="stable")
    _, first = np.unique(groups[order], return_index=True)
    sums = np.add.reduceat(parts[:, order], first, axis=1)
    return np.square(sums).sum(axis=1) * len(first) / max(1, len(first) - 1)
