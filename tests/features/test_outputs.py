"""What stands for the output of a module that gives several tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from head2toe.features.extractor import extract
from head2toe.features.outputs import first_tensor
from head2toe.features.plan import Plan
from head2toe.features.taps import layers

STAGES = {
    "channels first": [(4, 16, 16), (8, 8, 8), (16, 4, 4)],
    "rounded up": [(4, 15, 9), (8, 8, 5), (16, 4, 3), (32, 2, 2), (64, 1, 1)],
    "channels last": [(16, 16, 4), (8, 8, 8), (4, 4, 16)],
    "a plain transformer's": [(8, 4, 4), (8, 4, 4), (8, 4, 4)],
}
NO_STAGES = {
    "growing": [(8, 4, 4), (4, 8, 8)],
    "heads and their weights": [(2, 17, 8), (2, 17, 17)],
    "wide heads and their weights": [(2, 17, 64), (2, 17, 17)],
    "a map and its attention": [(8, 4, 4), (2, 16, 16)],
    "a map and a mask": [(8, 4, 4), (1, 4, 4)],
    "tokens and weights": [(17, 8), (2, 17, 17)],
    "one": [(8, 4, 4)],
}


def tensors(shapes, rows=2):
    return [torch.rand(rows, *shape) for shape in shapes]


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("name", STAGES)
def test_of_maps_from_fine_to_coarse_the_last_counts(name, kind):
    made = kind(tensors(STAGES[name]))
    for count in (None, 2):
        assert first_tensor(made, count) is made[-1]
        assert first_tensor({"feature_maps": made, "hidden_states": None}, count) is made[-1]


@pytest.mark.parametrize("name", NO_STAGES)
def test_of_other_tensors_the_first_counts(name):
    made = tensors(NO_STAGES[name])
    assert first_tensor(made, 2) is made[0] and first_tensor(tuple(made)) is made[0]


def test_maps_with_a_row_an_image_go_before_others():
    windows, states = torch.rand(8, 4, 2, 2), torch.rand(2, 4, 4, 4)
    assert first_tensor([states, windows], 2) is states


def test_embeddings_go_before_the_states_that_they_are_made_of():
    states, pooled, embedded, logits = tensors([(17, 8), (8,), (4,), (3,)])
    output = {"last_hidden_state": states, "image_embeds": embedded}
    assert first_tensor(output, 2) is embedded
    assert first_tensor(output | {"pooler_output": pooled}, 2) is pooled
    assert first_tensor(output | {"pooler_output": pooled, "logits": logits}, 2) is logits
    assert first_tensor({"last_hidden_state": states, "text_embeds": embedded}) is embedded


class Pyramid(nn.Module):
    """Gives all its maps."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stages = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()) for a, b in ((3, 4), (4, 8), (8, 16))]
        )

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def test_the_last_of_a_network_s_maps_is_listed_and_extracted(own, pictures):
    backbone = own(Pyramid())
    found = layers(backbone)
    (layer,) = (layer for layer in found if layer.penultimate)
    assert (layer.name, layer.kind, layer.shape) == ("output", "map", (16, 4, 4))
    plan = Plan.build(found, (16,))
    rows = extract(backbone, pictures(3), plan, dtype="float32", device="cpu", progress=False).rows
    images = backbone.preprocessing.batch([backbone.preprocessing.image(pictures(3)[i]) for i in range(3)])
    with torch.no_grad():
        expected = backbone.module(images)[-1].mean((2, 3))
    np.testing.assert_allclose(rows[:, plan.columns("linear")], expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext"])
def test_timm_s_features_alone_are_read_by_the_coarsest(timm_backbone, name):
    backbone = timm_backbone(name, 64, features_only=True)
    (layer,) = (layer for layer in layers(backbone) if layer.penultimate)
    assert layer.kind == "map" and layer.shape == (backbone.module.feature_info.channels()[-1], 2, 2)
