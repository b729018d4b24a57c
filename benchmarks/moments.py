"""Second moments of a layer's channels by a fixed random projection: whether the statistics miss something in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.view_choices import pairs, searched
from head2toe.features import STATISTICS, Plan, layers
from head2toe.features.pooling import Shape, channels, register

BOTH, ALONE = "statistics and second moments", "second moments alone"


@register("moments")
@dataclass(frozen=True)
class SecondMoments:
    """Covariances of pairs of random projections of the channels over the places, as many as there are channels.

    ``cov(u_k' x, v_k' x)`` with entries of u_k and v_k that are -1 or 1, drawn once: inner products of such numbers
    estimate those of the channels' covariance matrices (Kar and Karnick 2012; compact bilinear pooling, Gao et al.
    2016). Unlike the operations of the library it mixes channels, so that a few of its columns need all of a layer.
    """

    prefix: int = 0

    def size(self, shape: Shape) -> int:
        return channels(shape)

    def apply(self, tensor: Tensor) -> Tensor:
        places = tensor.flatten(1, -2)[:, self.prefix :]
        places = places - places.mean(1, keepdim=True)
        first, second = signs(places.shape[-1]).to(places.device)
        return (places @ first * (places @ second)).mean(1)


def signs(count: int) -> Tensor:
    """Two random matrices (count, count) whose rows have length one: the same ones each time, float32."""
    drawn = torch.randint(0, 2, (2, count, count), generator=torch.Generator().manual_seed(count))
    return (2.0 * drawn - 1) / math.sqrt(count)


def with_moments(plan: Plan) -> Plan:
    """The plan with a view of second moments alone, and one of them beside the statistics."""
    described = pairs(plan, "statistics")
    flat = [pair for pair in described if plan.by_name[pair[0]].kind == "vector"]
    moments = [(layer.name, f"moments:{layer.prefix}") for layer in plan.layers if _has_places(layer)]
    return plan.with_views({BOTH: described + moments, ALONE: flat + moments})


def _has_places(layer: Any) -> bool:
    return layer.selected and layer.kind != "vector"


def table(backbone: Any, images: Any, y: np.ndarray) -> list[dict[str, Any]]:
    """A search's table: the statistics, and the views of second moments."""
    plan = with_moments(Plan.build(layers(backbone), (), statistics=STATISTICS))
    return searched(backbone, images, y, plan, ("statistics", BOTH, ALONE))
