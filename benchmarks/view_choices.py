"""Other views of the same layers: second moments, other target sizes, two in one view, the class token of grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

MOMENTS: tuple[str, ...] = ("statistics", "statistics and second moments", "second moments alone")
SIZES: tuple[str, ...] = ("512", "64", "2048", "512 and 2048 in one view")
TOKENS: tuple[str, ...] = ("pooled with the patches", "alone", "beside the pooled patches")
TINY, SMALL, LARGE = 64, 512, 2048


def moments(backbone: Any, images: Any, y: np.ndarray) -> list[dict[str, Any]]:
    """A search's table: the statistics, second moments beside them, and these alone."""
    from head2toe import features

    found = features.layers(backbone)
    kinds = (features.STATISTICS, features.ALL_STATISTICS, ("moments",))
    plans = [features.Plan.build(found, (), statistics=kind) for kind in kinds]
    views = {name: pairs(plan, "statistics") for name, plan in zip(MOMENTS, plans, strict=True)}
    return searched(backbone, images, y, plans[0].with_views(views), MOMENTS)


def sizes(backbone: Any, images: Any, y: np.ndarray) -> list[dict[str, Any]]:
    """A search's table: each target size alone, and both in one view."""
    from head2toe import features

    plan = features.Plan.build(features.layers(backbone), (SMALL, LARGE, TINY))
    small, tiny, large = (pairs(plan, str(size)) for size in (SMALL, TINY, LARGE))
    views = dict(zip(SIZES, (small, tiny, large, list(dict.fromkeys(small + large))), strict=True))
    return searched(backbone, images, y, plan.with_views(views), SIZES)


def tokens(backbone: Any, images: Any, y: np.ndarray) -> list[dict[str, Any]]:
    """A search's table: what the grids hold of the class token."""
    from head2toe import features
    from head2toe.features.pooling_rules import CLASS_TOKEN_OPTIONS

    found = features.layers(backbone)
    plans = [features.Plan.build(found, (SMALL,), option) for option in CLASS_TOKEN_OPTIONS]
    views = {name: pairs(plan, str(SMALL)) for name, plan in zip(TOKENS, plans, strict=True)}
    return searched(backbone, images, y, plans[0].with_views(views), TOKENS)


def pairs(plan: Any, view: str) -> list[tuple[str, str]]:
    """Layer and operation of each block of a view."""
    return [(plan.blocks[i].layer, plan.blocks[i].operation) for i in plan.views[view]]


def searched(backbone: Any, images: Any, y: np.ndarray, plan: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """The table of a search among some views of a plan, as `settings` says, the linear probe first."""
    from head2toe import features
    from head2toe.estimators.frozen import columns_of
    from head2toe.probes import LINEAR_VIEW, search

    rows, columns = features.extract(backbone, images, plan, progress=False).rows, columns_of(plan)
    order = (LINEAR_VIEW, *names)
    chosen = replace(columns, views={name: columns.views[name] for name in order})
    return sorted(search(rows, y, chosen, settings=settings()).table, key=lambda row: order.index(row["view"]))


def settings() -> Any:
    """Learned layer weights and heads in closed form, no deviations; nothing is given up early."""
    from head2toe.probes import SearchSettings

    heads = ("discriminant", "least squares")
    return SearchSettings(patience=math.inf, layer_weights=("learned",), heads=heads, deviations=False)
