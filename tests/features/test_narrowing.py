"""Narrowing: few columns need few channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from head2toe.features.layer import Layer
from head2toe.features.narrowing import Part, narrow
from head2toe.features.plan import Plan
from head2toe.features.pooling import operation
from head2toe.features.pooling_rules import ALL_STATISTICS, STATISTICS

LAYERS = (
    Layer("map", "map", "output", 0, "map", (48, 14, 10)),
    Layer("again", "again", "output", 0, "map", (32, 14, 10)),
    Layer("tokens", "tokens", "output", 0, "tokens", (17, 64), prefix=1, grid=(4, 4)),
    Layer("vector", "vector", "output", 0, "vector", (40,), penultimate=True),
)
PLAN = Plan.build(LAYERS, [4, 300], statistics=STATISTICS)


def _outputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"map": (2, 14, 10, 48), "again": (2, 14, 10, 32), "tokens": (2, 17, 64), "vector": (2, 40)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _rows(plan: Plan, parts: dict[str, tuple[Part, ...]]) -> torch.Tensor:
    """Every block of a plan, applied to the parts that its layer is put together from."""
    made = []
    for block in plan.blocks:
        tensor = _outputs()[block.layer]
        if block.layer in parts:
            pieces = [_outputs()[part.layer.name][..., torch.from_numpy(part.channels)] for part in parts[block.layer]]
            tensor = torch.cat(pieces, dim=-1)
        made.append(operation(block.operation).apply(tensor))
    return torch.cat(made, dim=1)


WHOLE = _rows(PLAN, {})
MIXED = Plan.build(LAYERS, [4], statistics=ALL_STATISTICS)
MIXED_WHOLE = _rows(MIXED, {})


@settings(deadline=None)
@given(st.lists(st.integers(0, PLAN.d - 1), min_size=1, max_size=12))
def test_narrowed_rows_are_the_wanted_columns(columns):
    few = narrow(PLAN, columns)
    assert few.plan.d == few.plan.blocks[-1].stop
    torch.testing.assert_close(_rows(few.plan, few.parts)[:, few.places], WHOLE[:, columns], rtol=1e-4, atol=1e-5)


@settings(deadline=None)
@given(st.lists(st.integers(0, MIXED.d - 1), min_size=1, max_size=4))
def test_second_moments_need_their_layer_whole(columns):
    few = narrow(MIXED, columns)
    found = _rows(few.plan, few.parts)[:, few.places]
    torch.testing.assert_close(found, MIXED_WHOLE[:, columns], rtol=1e-4, atol=1e-5)


def test_channels_of_layers_with_the_same_places_are_pooled_together():
    first, second = (
        next(block for block in PLAN.blocks if block.layer == name and block.operation == "centre")
        for name in ("map", "again")
    )
    few = narrow(PLAN, [first.start + 48 + 7, first.start + 7, first.start + 3, second.start + 5])
    (parts,) = few.parts.values()
    assert [(part.layer.name, list(part.channels)) for part in parts] == [("map", [3, 7]), ("again", [5])]
    assert [layer.shape for layer in few.plan.layers] == [(3, 14, 10)]


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_layers_that_keep_many_channels_are_pooled_whole(share):
    block = next(block for block in PLAN.blocks if block.layer == "tokens" and block.operation.startswith("max"))
    few = narrow(PLAN, np.arange(block.start, block.start + int(64 * share)))
    assert not few.parts
    assert [layer.shape for layer in few.plan.layers] == [(17, 64)]


def test_no_columns_need_nothing():
    few = narrow(PLAN, [])
    assert not few.plan.layers
    assert not len(few.places)


@pytest.mark.parametrize("column", [-1, PLAN.d])
def test_columns_outside_the_plan_are_refused(column):
    with pytest.raises(IndexError):
        narrow(PLAN, [column])
