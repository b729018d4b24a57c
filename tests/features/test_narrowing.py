"""Narrowing: few columns need few channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from head2toe.features.narrowing import narrow
from head2toe.features.plan import Plan
from head2toe.features.pooling import operation
from head2toe.features.pooling_rules import STATISTICS
from head2toe.features.taps import Layer

LAYERS = (
    Layer("map", "map", "output", 0, "map", (48, 14, 10)),
    Layer("tokens", "tokens", "output", 0, "tokens", (17, 64), prefix=1, grid=(4, 4)),
    Layer("vector", "vector", "output", 0, "vector", (40,), penultimate=True),
)
PLAN = Plan.build(LAYERS, [4, 300], statistics=STATISTICS)


def _outputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"map": (2, 14, 10, 48), "tokens": (2, 17, 64), "vector": (2, 40)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _rows(plan: Plan, channels: dict[str, np.ndarray]) -> torch.Tensor:
    """Every block of a plan, applied to the channels that remain of each layer."""
    made = []
    for block in plan.blocks:
        tensor = _outputs()[block.layer]
        if block.layer in channels:
            tensor = tensor[..., torch.from_numpy(channels[block.layer])].contiguous()
        made.append(operation(block.operation).apply(tensor))
    return torch.cat(made, dim=1)


WHOLE = _rows(PLAN, {})


@settings(deadline=None)
@given(st.lists(st.integers(0, PLAN.d - 1), min_size=1, max_size=12))
def test_narrowed_rows_are_the_wanted_columns(columns):
    few = narrow(PLAN, columns)
    assert few.plan.d == few.plan.blocks[-1].stop
    torch.testing.assert_close(_rows(few.plan, few.channels)[:, few.places], WHOLE[:, columns], rtol=1e-4, atol=1e-5)


def test_only_the_channels_of_the_wanted_columns_remain():
    block = next(block for block in PLAN.blocks if block.layer == "map" and block.operation == "centre")
    few = narrow(PLAN, [block.start + 48 + 7, block.start + 7, block.start + 3])
    assert {name: list(channels) for name, channels in few.channels.items()} == {"map": [3, 7]}
    assert [layer.shape for layer in few.plan.layers] == [(2, 14, 10)]


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_layers_that_keep_many_channels_are_pooled_whole(share):
    block = next(block for block in PLAN.blocks if block.layer == "tokens" and block.operation.startswith("max"))
    few = narrow(PLAN, np.arange(block.start, block.start + int(64 * share)))
    assert not few.channels
    assert [layer.shape for layer in few.plan.layers] == [(17, 64)]


def test_no_columns_need_nothing():
    few = narrow(PLAN, [])
    assert not few.plan.layers
    assert not len(few.places)


@pytest.mark.parametrize("column", [-1, PLAN.d])
def test_columns_outside_the_plan_are_refused(column):
    with pytest.raises(IndexError):
        narrow(PLAN, [column])
