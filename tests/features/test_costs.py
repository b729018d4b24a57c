"""FLOPs until each layer, and what a budget reaches."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from head2toe.benchmark.costs import counted
from head2toe.errors import ParameterError
from head2toe.features import layers
from head2toe.features.costs import costs, within
from head2toe.features.flops import counter


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


def test_attention_counts_whichever_operator_computes_it():
    """On a CPU it has an operator of its own; the plain one is made of products that are counted anyway."""
    q = torch.randn(2, 3, 9, 4, requires_grad=True)
    totals = {}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
        with sdpa_kernel(backend), counter() as counting, torch.no_grad():
            scaled_dot_product_attention(q, q, q)
        totals[backend] = counting.get_total_flops()
    assert set(totals.values()) == {2 * 2 * (2 * 3 * 9 * 9 * 4)}
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), counted() as spent:
        scaled_dot_product_attention(q, q, q).sum().backward()
    assert spent.total >= 3 * totals[SDPBackend.MATH]  # two gradients of each product, if not the product once more


def flops(module, *inputs, gradients=False, **named):
    module.requires_grad_(gradients)
    with counter() as counting, torch.set_grad_enabled(gradients):
        module.eval()(*inputs, **named)
    return counting.get_total_flops()


ATTENTION, LAYER = nn.MultiheadAttention(8, 2, batch_first=True), nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
X, Y = torch.rand(2, 5, 8), torch.rand(2, 3, 8)


@pytest.mark.parametrize(("module", "inputs"), [(ATTENTION, (X, X, X)), (ATTENTION, (X, Y, Y)), (LAYER, (X,))])
def test_what_runs_in_one_piece_without_gradients_counts_as_its_pieces_do(module, inputs):
    assert flops(module, *inputs) == flops(module, *inputs, gradients=True)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_padding_does_not_count():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2)
    padded = torch.arange(5) >= torch.tensor([[5], [3]])
    apart = flops(encoder, X[:1]) + flops(encoder, X[:1, :3])
    assert flops(encoder, X, src_key_padding_mask=padded) == apart


@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers_count(directions):
    """Four gates a step, of the input and of the state; a second layer reads both directions of the first."""
    layer = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=directions == 2)
    forward = 2 * (2 * 5) * directions * 4 * 6 * ((8 + 6) + (directions * 6 + 6))
    assert flops(layer, X) == forward
    layer.requires_grad_(True)
    with counted() as spent:
        layer(X)[0].sum().backward()
    assert spent.total == 3 * forward
