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


def behind(hits: np.ndarray, rival: np.ndarray, share: np.ndarray, images: float) -> tuple[np.ndarray, np.ndarray]:
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
    """
    difference = rival.astype(np.float32) - hits.astype(np.float32)
    gap = difference @ share
    return gap, np.sqrt(np.maximum(difference**2 @ share - gap**2, 0) / images)
