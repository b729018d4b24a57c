"""FLOPs until each layer, and what a budget reaches."""

from __future__ import annotations

import pytest

from head2toe.errors import ParameterError
from head2toe.features import layers
from head2toe.features.costs import costs, within


def test_flops_are_those_of_the_formulas(small):
    """Two a multiply-add: the stem 3 x 3 from 3 to 8 channels at 16 x 16, 3 x 3 from 8 to 8, 1 x 1, then 8 x 5."""
    spent = costs(small, layers(small))
    stem, block = 2 * 27 * 8 * 256, 2 * 72 * 8 * 256
    assert spent.until["act"] == stem
    assert spent.until["blocks.0.act"] == spent.until["blocks.0"] == stem + block
    assert spent.until["attn"] == stem + 2 * block + 2 * 8 * 8 * 256
    assert spent.until["output"] == spent.total == spent.until["fc:input"] + 2 * 8 * 5
    assert spent.saved(["act", "blocks.0"]) == spent.total - stem - block
    assert spent.saved([]) == spent.total


def test_a_budget_ends_the_network(small):
    found = layers(small)
    spent = costs(small, found)
    assert within(found, spent, 1) == found
    half = within(found, spent, 0.6)
    assert [layer.name for layer in half] == ["act", "blocks.0.act", "blocks.0"]
    assert [layer.name for layer in half if layer.penultimate] == ["blocks.0"]
    narrowed = within(layers(small, "blocks.0.act"), spent, 0.6)
    assert [(layer.name, layer.penultimate) for layer in narrowed] == [("blocks.0.act", True)]


@pytest.mark.parametrize("budget", [0, -1, 1.5, "half", True])
def test_what_is_no_share_is_refused(small, budget):
    found = layers(small)
    with pytest.raises(ParameterError, match="budget is"):
        within(found, costs(small, found), budget)


def test_a_budget_that_reaches_nothing_says_what_the_first_layer_takes(small):
    found = layers(small)
    with pytest.raises(ParameterError, match=r"the first takes 0\.1"):
        within(found, costs(small, found), 0.01)
