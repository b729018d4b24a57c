"""The order in which tensorflow_datasets keeps a data set, without tensorflow_datasets.

VTAB's "train[:800]" means the first 800 images in that order, which is no order of the original files but fixed:
every image has a key (its file's name, or its number), and a split is sorted by the MD5 of the split's name followed by
the key (tensorflow/datasets, ``core/hashing.py`` and ``core/shuffle.py``; the same since its hashing of 2019). The rule
reproduces published records: the first of CIFAR's 50,000 training images are numbers 16399, 1680 and 47917.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def tfds_order(split: str, keys: Iterable[str | int]) -> npt.NDArray[np.int64]:
    """Sort a split as tensorflow_datasets does.

    Parameters
    ----------
    split : str
        Its name there: "train", "validation" or "test".
    keys : n str or int
        The keys of its images.

    Returns
    -------
    int64 array (n,)
        Places in `keys`, in the order of that library.
    """
    salted = hashlib.md5(split.encode(), usedforsecurity=False)
    hashed = []
    for key in keys:
        hasher = salted.copy()
        hasher.update(str(key).encode())
        hashed.append(hasher.digest())
    return np.asarray(sorted(range(len(hashed)), key=hashed.__getitem__), np.int64)
