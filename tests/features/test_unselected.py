"""The classifier's input where nobody asked for it: it serves the linear probe, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from head2toe.errors import ParameterError
from head2toe.features.costs import costs, within
from head2toe.features.layer import Layer
from head2toe.features.plan import Plan
from head2toe.features.taps import layers

LAYERS = (
    Layer("a", "a", "output", 0, "map", (4, 8, 8)),
    Layer("t", "t", "input", 0, "tokens", (18, 6), prefix=2, penultimate=True, selected=False),
)


def test_no_view_but_the_linear_one_reads_it() -> None:
    plan = Plan.build(LAYERS, [4], statistics=("mean", "max"))
    read = {view: {plan.blocks[i].layer for i in numbers} for view, numbers in plan.views.items()}
    assert read == {"4": {"a"}, "statistics": {"a"}, "linear": {"t"}}


@pytest.mark.parametrize(("class_token", "operation"), [(True, "cls"), (False, "mean")])
def test_of_registers_alone_the_linear_probe_reads_the_mean(class_token: bool, operation: str) -> None:
    plan = Plan.build((LAYERS[0], replace(LAYERS[1], class_token=class_token)), [4])
    assert [plan.blocks[i].operation for i in plan.views["linear"]] == [operation]


def test_blocks_of_a_further_view_are_in_the_order_of_their_columns() -> None:
    plan = Plan.build(LAYERS, [4, 64]).with_views({"more": [("t", "max:2"), ("t", "cls"), ("a", "max"), ("a", "mean")]})
    assert list(plan.views["more"]) == sorted(plan.views["more"])
    assert {(plan.blocks[i].layer, plan.blocks[i].operation) for i in plan.views["more"]} == {
        ("t", "max:2"),
        ("t", "cls"),
        ("a", "max"),
        ("a", "mean"),
    }


def test_a_budget_that_reaches_it_leaves_it_what_the_linear_probe_reads(small) -> None:
    few = layers(small, "blocks.0.act")
    assert [(layer.name, layer.selected) for layer in few] == [("blocks.0.act", True), ("fc:input", False)]
    assert within(few, costs(small, few), 1) == few


def test_a_budget_that_reaches_it_alone_reaches_no_layer(small) -> None:
    few = layers(small, "output")
    spent = costs(small, few)
    with pytest.raises(ParameterError, match="reaches no layer"):
        within(few, spent, spent.until["fc:input"] / spent.total)
