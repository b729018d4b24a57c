"""Other views of the same layers: two target sizes in one view, and the class token of a transformer's grids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

SIZES: tuple[str, ...] = ("512", "2048", "512 and 2048 in one view")
TOKENS: tuple[str, ...] = ("pooled with the patches", "alone", "beside the pooled patches")
SMALL, LARGE = 512, 2048


def sizes(backbone: Any, images: Any, y: np.ndarray) -> list[dict[str, Any]]:
    """A search's table: each target size alone, and both in one view."""
    from head2toe import features

    plan = features.Plan.build(features.layers(backbone), (SMALL, LARGE))
    small, large = (_pairs(plan, str(size)) for size in (SMALL, LARGE))
    views = dict(zip(SIZES, (small, large, list(dict.fromkeys(small + large))), strict=True))
    return _searched(backbone, images, y, plan, views)


def tokens(backbone: Any, images: Any, y: np.ndarray) -> list[dict[str, Any]]:
    """A search's table: what the grids hold of the class token."""
    from head2toe import features
    from head2toe.features.pooling_rules import CLASS_TOKEN_OPTIONS

    found = features.layers(backbone)
    plans = [features.Plan.build(found, (SMALL,), option) for option in CLASS_TOKEN_OPTIONS]
    views = {name: _pairs(plan, str(SMALL)) for name, plan in zip(TOKENS, plans, strict=True)}
    return _searched(backbone, images, y, plans[0], views)


def _pairs(plan: Any, view: str) -> list[tuple[str, str]]:
    return [(plan.blocks[i].layer, plan.blocks[i].operation) for i in plan.views[view]]


def _searched(
    backbone: Any, images: Any, y: np.ndarray, plan: Any, views: Mapping[str, list[tuple[str, str]]]
) -> list[dict[str, Any]]:
    """With learned layer weights and heads in closed form, in the order of the views."""
    from head2toe import features
    from head2toe.estimators.frozen import columns_of
    from head2toe.probes import LINEAR_VIEW, SearchSettings, search

    plan = plan.with_views(views)
    rows = features.extract(backbone, images, plan, progress=False).rows
    settings = SearchSettings(patience=math.inf, layer_weights=("learned",), heads=("discriminant", "least squares"))
    columns = columns_of(plan)
    names = (LINEAR_VIEW, *views)
    result = search(rows, y, replace(columns, views={name: columns.views[name] for name in names}), settings=settings)
    return sorted(result.table, key=lambda row: names.index(row["view"]))
