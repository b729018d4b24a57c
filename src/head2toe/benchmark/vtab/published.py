"""Rows that others published for these tasks, each with where its figures come from.

A figure is quoted as the paper's only where its text was read. Those of the Head2Toe paper were not: they are from
memory, and checked only by the means of their rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from head2toe.benchmark.vtab.definitions import NAMES

_PAPER = "Head2Toe paper (arXiv 2201.03529, Table 1, ResNet-50, 3 seeds), as recalled, not verified"
_VTAB = "google-research/task_adaptation, docs/data/results.csv, ResNet50, 1000 examples"


@dataclass(frozen=True)
class PublishedRow:
    """Accuracies of one method on the tasks of VTAB-1k.

    Attributes
    ----------
    name : str
        For tables.
    source : str
    verified : bool
        The figures were copied from the source; otherwise they are recalled.
    accuracies : mapping of task to per cent
    """

    name: str
    source: str
    verified: bool
    accuracies: Mapping[str, float]


def _row(name: str, source: str, verified: bool, figures: str) -> PublishedRow:
    return PublishedRow(name, source, verified, dict(zip(NAMES, map(float, figures.split()), strict=True)))


# In the order of NAMES: CIFAR-100 Caltech101 DTD Flowers Pets SVHN Sun397 | Camelyon EuroSAT Resisc45 Retinopathy |
# Clevr-Count Clevr-Dist DMLab KITTI dSpr-Loc dSpr-Ori sNORB-Azim sNORB-Elev
PUBLISHED = (
    _row(
        "Linear (paper)",
        _PAPER,
        False,
        "48.5 86.0 67.8 84.8 87.4 47.5 34.4 83.2 92.4 73.3 73.6 39.7 39.9 36.0 66.4 40.4 37.0 19.6 25.5",
    ),
    _row(
        "Head2Toe (paper)",
        _PAPER,
        False,
        "47.1 88.8 67.6 85.6 87.6 84.1 32.9 82.1 94.3 76.0 74.1 55.3 59.5 43.9 72.3 64.9 51.1 39.6 43.1",
    ),
    _row(
        "Scratch (paper)",
        _PAPER,
        False,
        "11.0 37.7 23.0 40.2 13.3 59.3 3.9 73.5 84.8 41.6 63.1 38.5 54.8 35.8 36.9 87.9 37.3 20.9 36.9",
    ),
    _row(
        "Sup-100% fine-tuned (VTAB)",
        _VTAB,
        True,
        "57.03 90.95 66.01 88.61 89.87 87.32 34.41 "
        "80.61 95.31 80.84 73.20 40.96 56.11 36.29 70.57 85.73 45.96 45.74 35.44",
    ),
    _row(
        "From-Scratch (VTAB)",
        _VTAB,
        True,
        "13.17 38.24 20.58 40.22 12.06 66.07 5.02 "
        "75.62 84.95 42.63 72.57 38.85 55.19 26.56 42.71 78.43 39.15 30.08 37.61",
    ),
)
