"""Guesses about tokens that would be wrong: what looks like a prefix or a grid and is none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from head2toe.backbones import Preprocessing, load
from head2toe.features.taps import layers


class Network(nn.Module):
    """Patches of 8 pixels, tokens of some names in front, and layers before and after these are there."""

    def __init__(self, **tokens: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.names = nn.Conv2d(3, 8, 8, 8), list(tokens)
        for name, count in tokens.items():
            self.register_parameter(name, nn.Parameter(torch.randn(1, count, 8)))
        self.before, self.after, self.short, self.head = nn.GELU(), nn.GELU(), nn.GELU(), nn.Linear(8, 5)

    def forward(self, x):
        tokens = self.before(self.patches(x).flatten(2).transpose(1, 2))
        front = [getattr(self, name).expand(len(x), -1, -1) for name in self.names]
        tokens = self.after(torch.cat([*front, tokens], 1))
        count = sum(one.shape[1] for one in front)
        return self.head(self.short(tokens[:, :count] if count else tokens).mean(1))


def found(network: nn.Module, size: tuple[int, int]) -> dict:
    backbone = load(network, preprocessing=Preprocessing(size, (0.5,) * 3, (0.5,) * 3))
    return {layer.name: layer for layer in layers(backbone)}


def test_tokens_that_are_all_prefix_have_none() -> None:
    """No statistic of no token is asked for."""
    layer = found(Network(cls_token=1, reg_token=4), (32, 32))
    assert (layer["before"].prefix, layer["after"].prefix, layer["short"].prefix) == (0, 5, 0)


def test_a_network_that_counts_its_own_prefix_is_believed() -> None:
    network = Network(cls_token=1, extra=1)
    assert found(network, (32, 32))["after"].prefix == 0  # 18 tokens, of which one is known
    setattr(network, "num_prefix_tokens", 2)  # noqa: B010 - a module is typed as holding modules and tensors alone
    assert found(network, (32, 32))["after"].prefix == 2


def test_each_stage_has_a_class_token_of_its_own() -> None:
    network = Network(cls_token1=1)
    network.cls_token2 = nn.Parameter(torch.randn(1, 1, 8))
    assert found(network, (32, 32))["after"].prefix == 1


def test_patches_are_no_prefix_where_their_number_is_known() -> None:
    """Nine patches could be a class token, four registers and four patches."""
    network = Network(cls_token=1, reg_token=4)
    setattr(network, "num_patches", 9)  # noqa: B010 - a module is typed as holding modules and tensors alone
    layer = found(network, (24, 24))
    assert (layer["before"].prefix, layer["after"].prefix) == (0, 5)


def test_patches_that_fill_a_grid_have_no_prefix() -> None:
    """Of 32 x 48 pixels there may be 4 x 6 patches, or four registers and 4 x 5."""
    layer = found(Network(reg_token=4), (32, 48))
    assert (layer["before"].prefix, layer["before"].grid) == (0, (4, 6))
    assert (layer["after"].prefix, layer["after"].grid) == (4, (4, 6))


def test_one_number_is_no_class_token() -> None:
    """Ten patches, 2 x 5, are no class token and 3 x 3 patches because a scale is called after classes."""
    network = Network()
    network.class_scale = nn.Parameter(torch.ones(1))
    assert found(network, (16, 40))["before"].prefix == 0


@pytest.mark.parametrize(("name", "grid"), [("Unroll", None), ("Reroll", None), ("Other", (4, 4))])
def test_tokens_in_another_order_are_no_grid(name: str, grid: tuple[int, int] | None) -> None:
    network = Network()
    network.order = type(name, (nn.Identity,), {})()
    assert found(network, (32, 32))["before"].grid == grid
