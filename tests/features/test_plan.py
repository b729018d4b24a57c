"""The plan: columns, shared blocks, views, restriction."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from head2toe.errors import ParameterError
from head2toe.features.layer import Layer
from head2toe.features.plan import Plan
from head2toe.features.pooling import operation
from head2toe.features.taps import layers

LAYERS = (
    Layer("a", "a", "output", 0, "map", (4, 8, 8)),
    Layer("t", "t", "output", 0, "tokens", (17, 6), prefix=1),
    Layer("p", "p", "input", 0, "vector", (5,), penultimate=True),
)


def test_blocks_fill_the_row_without_gaps():
    plan = Plan.build(LAYERS, [4, 16, 64], "beside")
    assert plan.blocks[0].start == 0
    assert all(a.stop == b.start for a, b in zip(plan.blocks, plan.blocks[1:], strict=False))
    for block in plan.blocks:
        assert block.stop - block.start == operation(block.operation).size(plan.by_name[block.layer].shape)
    assert len({(block.layer, block.operation) for block in plan.blocks}) == len(plan.blocks)
    assert plan.bytes(10) == 10 * plan.d * 4


@pytest.mark.parametrize("sizes", [[1.5], ["8"], [float("inf")], [8, None], 8, [0], [8, -1]])
def test_target_sizes_are_whole_numbers(sizes):
    with pytest.raises(ParameterError, match=r"^target_sizes is .*: use whole numbers of at least 1$"):
        Plan.build(LAYERS, sizes)


def test_something_is_pooled():
    with pytest.raises(ParameterError, match="neither target sizes nor statistics"):
        Plan.build(LAYERS, [])


def test_target_sizes_that_pool_alike_share_blocks():
    one, both = Plan.build(LAYERS, [16]), Plan.build(LAYERS, [16, 17, 64])
    assert both.blocks[: len(one.blocks)] == one.blocks
    assert both.views["16"] == both.views["17"]
    assert both.views["16"][-1] == both.views["64"][-1] == both.views["linear"][0]
    assert set(both.views) == {"16", "17", "64", "linear"}
    np.testing.assert_array_equal(both.columns("16"), np.arange(one.d))
    assert len(both.columns("linear")) == 5


def test_unselected_penultimate_layer_serves_the_linear_view_alone(small):
    plan = Plan.build(layers(small, "act"), [16])
    assert [plan.blocks[i].layer for i in plan.views["16"]] == ["act"]
    assert [plan.blocks[i].layer for i in plan.views["linear"]] == ["fc:input"]


def test_statistics_share_blocks_with_a_target_size():
    """The mean of a map is a statistic and a target size: it stands in the row once. So do vectors."""
    plain, both = Plan.build(LAYERS, [4]), Plan.build(LAYERS, [4], statistics=("mean", "std", "max", "centre"))
    assert both.blocks[: len(plain.blocks)] == plain.blocks
    assert set(both.views) == {"4", "statistics", "linear"}
    operations = {
        name: [both.blocks[i].operation for i in both.views["statistics"] if both.blocks[i].layer == name]
        for name in "atp"
    }
    assert operations == {
        "a": ["mean", "std", "max", "centre"],
        "t": ["cls", "rest-mean:1", "std:1", "max:1"],  # the layer knows no grid
        "p": ["identity"],
    }
    shared = {both.blocks[i].layer for i in set(both.views["4"]) & set(both.views["statistics"])}
    assert shared == {"a", "p"}
    assert both.views["statistics"][-1] == both.views["linear"][0]
    widths = {i: block.stop - block.start for i, block in enumerate(both.blocks)}
    assert sum(widths[i] for i in both.views["statistics"]) == 4 * 5 + 6 * 4 + 5
    assert both.d == sum(widths.values())


def test_statistics_alone_and_a_grid():
    gridded = replace(LAYERS[1], grid=(4, 4))
    plan = Plan.build((gridded,), [], statistics=("centre",))
    assert [block.operation for block in plan.blocks] == ["cls", "centre:4,4,1"]
    assert set(plan.views) == {"statistics", "linear"}
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_plans_of_older_versions_know_no_grid():
    data = Plan.build(LAYERS, [4]).to_dict()
    for layer in data["layers"]:
        del layer["grid"]
    assert Plan.from_dict(data) == Plan.build(LAYERS, [4])


@pytest.mark.parametrize("statistics", [("median",), ("mean", "centre of mass")])
def test_unknown_statistics_are_refused(statistics):
    with pytest.raises(ParameterError, match=f"not '{statistics[-1]}'"):
        Plan.build(LAYERS, [4], statistics=statistics)


def test_a_statistic_named_twice_counts_once():
    assert Plan.build(LAYERS, [], statistics=("max", "max")) == Plan.build(LAYERS, [], statistics=("max",))


def test_restriction_keeps_what_is_needed():
    plan = Plan.build(LAYERS, [4, 64])
    wanted = np.array([plan.d - 1, 2, plan.blocks[1].start])
    sub, local = plan.restrict(wanted)
    names = {plan.blocks[np.searchsorted([b.stop for b in plan.blocks], c, side="right")].layer for c in wanted}
    assert {layer.name for layer in sub.layers} == names
    for column, place in zip(wanted, local, strict=True):
        (source,) = (b for b in plan.blocks if b.start <= column < b.stop)
        (target,) = (b for b in sub.blocks if b.start <= place < b.stop)
        assert (source.layer, source.operation, column - source.start) == (
            target.layer,
            target.operation,
            place - target.start,
        )
    with pytest.raises(IndexError):
        plan.restrict([plan.d])


def test_json_and_back():
    plan = Plan.build(LAYERS, [4, 64])
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan


@pytest.mark.parametrize(
    ("chosen", "sizes", "cls_token"),
    [((), [4], "with"), (LAYERS, [], "with"), (LAYERS, [0], "with"), (LAYERS, [4], "no")],
)
def test_impossible_plans_are_refused(chosen, sizes, cls_token):
    with pytest.raises(ParameterError):
        Plan.build(chosen, sizes, cls_token)
