"""Orientations: the axes of an output are told apart whichever way it lies."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from head2toe.backbones import Preprocessing, load
from head2toe.data import as_images
from head2toe.features import Extractor, Plan, layers
from head2toe.features.axes import layer_of
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch

KEY = "m", "output", 0


def test_channels_of_a_sequence_are_the_axis_that_no_longer_text_makes_longer() -> None:
    for shape, longer, last in (((20, 8), (25, 8), True), ((8, 20), (8, 25), False), ((20, 20), (20, 25), False)):
        layer = layer_of(KEY, torch.zeros(2, *shape), (1, 1), longer, None)
        assert layer is not None
        assert (layer.kind, layer.shape[1], layer.channels_last) == ("sequence", shape[1] if last else shape[0], last)
        assert layer.canonical(torch.zeros(2, *shape)).shape[1:] == layer.shape


def test_a_place_more_or_less_explains_the_same_upright_and_lying() -> None:
    """8 x 3 places of 64 x 32 pixels, one short of 8 x 4; the values would say that the channels are last."""
    values = torch.zeros(4, 5, 8, 3) + 9 * torch.arange(3)
    upright = layer_of(KEY, values, (64, 32), None, None)
    lying = layer_of(KEY, torch.zeros(4, 5, 3, 8) + 9 * torch.arange(8), (32, 64), None, None)
    assert upright is not None and lying is not None
    assert (upright.shape, upright.channels_last) == ((5, 8, 3), False)
    assert (lying.shape, lying.channels_last) == ((5, 3, 8), False)


def test_one_place_is_no_plane() -> None:
    assert layer_of(KEY, torch.zeros(2, 8, 4, 1, 1), (32, 32), None, None) is None


def test_of_a_cube_the_channels_come_first() -> None:
    layer = layer_of(KEY, torch.zeros(2, 4, 8, 8, 8), (32, 32), None, None)
    assert layer is not None and (layer.shape, layer.channels_last) == ((4, 64, 8), False)


class InLine(nn.Module):
    """Pixels in one line, and convolutions along it: (B, C, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Conv1d(3, 32, 5, stride=4), nn.ReLU()
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.first(x.flatten(2))).mean(2))


def test_one_dimensional_convolutions_make_channels_first() -> None:
    torch.manual_seed(0)
    backbone = load(InLine(), preprocessing=Preprocessing((16, 16), (0.5,) * 3, (0.5,) * 3))
    plan = Plan.build(layers(backbone, "act"), [64], statistics=("max",))
    act = plan.by_name["act"]
    assert (act.kind, act.shape) == ("map", (32, 1, 63))
    noise = noise_batch(backbone, 2)
    expected = backbone.module.act(backbone.module.first(noise.flatten(2)))  # type: ignore[operator]
    (columns,) = (slice(b.start, b.stop) for b in plan.blocks if (b.layer, b.operation) == ("act", "max"))
    torch.testing.assert_close(PooledNetwork(backbone.module, plan).rows(noise)[:, columns], expected.amax(2))
    few = Extractor(backbone, plan, columns=[columns.start + 3], dtype="float32", progress=False)
    (batch,) = few.stream(as_images(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)))
    assert batch.rows.shape == (2, 1)
