"""What each piece of the probe costs in seconds: of the extraction, and of the search."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

IMAGES = 256  # that an extraction is timed on; its seconds are told for as many as a task has
SEARCHES: tuple[tuple[str, dict[str, Any]], ...] = (  # each has what the one before has, and a piece more
    (
        "search: the paper's candidates (N = 512), least squares",
        {"views": ("512",), "layer_weights": ("equal",), "heads": ("least squares",)},
    ),
    ("+ discriminant", {"heads": ("least squares", "discriminant")}),
    ("+ learned layer weights", {"layer_weights": ("equal", "learned")}),
    ("+ statistics", {"views": None}),
    ("+ distilled heads", {"heads": ("least squares", "discriminant", "distilled")}),
    ("+ logistic heads of the two best", {"heads": ("least squares", "discriminant", "distilled", "logistic")}),
    ("+ deviations: everything", {"deviations": True}),
    ("everything, and what falls behind is given up", {"patience": None}),
)


def table(backbone: Any, images: Any, rows: np.ndarray, y: np.ndarray, columns: Any) -> list[dict[str, Any]]:
    """Seconds of the pieces of one task, a row each; what a row has, the rows after it in its part have too."""
    from head2toe.probes import SearchSettings, search

    found, default = extractions(backbone, images), SearchSettings()
    settings: dict[str, Any] = {"patience": math.inf, "deviations": False}
    for piece, added in SEARCHES:
        settings |= added
        chosen = {name: getattr(default, name) if value is None else value for name, value in settings.items()}
        start = time.perf_counter()
        search(rows, y, columns, settings=SearchSettings(**chosen))
        found.append({"piece": piece, "seconds": time.perf_counter() - start})
    return found


def extractions(backbone: Any, images: Any) -> list[dict[str, Any]]:
    """Seconds of one pass over images in memory that pools ever more."""
    from head2toe import features
    from head2toe.data import as_images
    from head2toe.features import Plan

    layers = features.layers(backbone)
    described = Plan.build(layers, (512,), statistics=features.STATISTICS)
    plans = {
        "extraction: the last layer alone": described.restrict(described.columns("linear"))[0],
        "extraction: grids of all layers (N = 512)": Plan.build(layers, (512,)),
        "+ statistics": described,
        "+ second moments": Plan.build(layers, (512,), statistics=features.ALL_STATISTICS),
    }
    some = as_images([images[i] for i in range(min(IMAGES, len(images)))])
    features.extract(backbone, some, described, progress=False)  # the first pass is slower
    found = []
    for piece, plan in plans.items():
        start = time.perf_counter()
        features.extract(backbone, some, plan, progress=False)
        seconds = (time.perf_counter() - start) * len(images) / len(some)
        found.append({"piece": piece, "seconds": seconds})
    return found
