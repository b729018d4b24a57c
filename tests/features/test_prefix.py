"""Class and register tokens: told by the names that people give them, and at sizes that are no whole patches."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from head2toe.backbones import Preprocessing, load
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch
from head2toe.features.plan import Plan
from head2toe.features.taps import layers


class Transformer(nn.Module):
    """Patches, with tokens of some name and shape in front."""

    def __init__(self, name="cls_token", shape=(1, 1, 8), patch=8, depth=3):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Module()
        self.embed.register_parameter(name, nn.Parameter(torch.randn(shape)))
        self.name, self.patch_embed, self.head = name, nn.Conv2d(3, 8, patch, patch), nn.Linear(8, 5)
        self.acts = nn.ModuleList([nn.GELU() for _ in range(depth)])

    def forward(self, x):
        front = getattr(self.embed, self.name).reshape(1, -1, 8).expand(len(x), -1, -1)
        tokens = torch.cat([front, self.patch_embed(x).flatten(2).transpose(1, 2)], 1)
        for act in self.acts:
            tokens = act(tokens)
        return self.head(tokens[:, 0])


def act_of(network, size):
    found = layers(load(network, preprocessing=Preprocessing(size, (0.5,) * 3, (0.5,) * 3)))
    return next(layer for layer in found if layer.name == "acts.0")


@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 8), (8,)])
@pytest.mark.parametrize("name", ["cls", "cls_emb", "class_emb", "cls_token", "class_query"])
def test_class_tokens_by_their_usual_names(name, shape):
    layer = act_of(Transformer(name, shape), (32, 32))
    assert (layer.prefix, layer.class_token, layer.grid) == (1, True, (4, 4))


@pytest.mark.parametrize("name", ["clsx", "classes", "mean_cls", "token"])
def test_other_names_are_no_class_tokens(name):
    layer = act_of(Transformer(name), (32, 32))
    assert (layer.prefix, layer.grid) == (0, None)


def test_a_table_for_each_class_is_no_class_token():
    layer = act_of(Transformer("class_table", (1, 5, 8)), (32, 32))
    assert (layer.prefix, layer.grid) == (0, None)


@pytest.mark.parametrize(
    ("size", "patch", "grid"),
    [((32, 48), 8, (4, 6)), ((60, 80), 14, (4, 5)), ((80, 60), 14, (5, 4)), ((100, 140), 12, (8, 11))],
)
@pytest.mark.parametrize("told", [False, True])
def test_patches_of_images_that_are_not_square(size, patch, grid, told):
    """Pixels that make no whole patch are dropped at the edges, in another share of the height than of the width."""
    network = Transformer(patch=patch)
    if told:
        network.patch_size = patch
    layer = act_of(network, size)
    assert layer.shape[0] == 1 + grid[0] * grid[1]
    assert (layer.prefix, layer.grid) == (1, grid)


@pytest.mark.parametrize(("pad", "grid"), [(False, (17, 22)), (True, (18, 23))])
def test_timm_at_a_size_of_no_whole_patches(pad, grid):
    from benchmarks.zoo.timm_families import timm

    small: dict[str, Any] = {"depth": 1, "embed_dim": 24, "num_heads": 2, "dynamic_img_size": pad}
    module = timm.create_model("vit_small_patch14_reg4_dinov2", img_size=(240, 320), dynamic_img_pad=pad, **small)
    found = layers(load(module, preprocessing=Preprocessing((240, 320), (0.5,) * 3, (0.5,) * 3)))
    block = next(layer for layer in found if layer.name == "blocks.0.attn")
    assert (block.shape[0], block.prefix, block.grid) == (grid[0] * grid[1] + 5, 5, grid)


class Behind(Transformer):
    """The class token stands behind the patches, after three others, and the classifier reads it."""

    num_suffix_tokens = 4

    def __init__(self):
        super().__init__("cls_token", (1, 4, 8))

    def forward(self, x):
        end = self.embed.cls_token.expand(len(x), -1, -1)
        tokens = torch.cat([self.patch_embed(x).flatten(2).transpose(1, 2), end], 1)
        for act in self.acts:
            tokens = act(tokens)
        return self.head(tokens[:, -1])


@pytest.mark.parametrize("front", [0, 2])
def test_a_module_tells_how_many_tokens_stand_behind(front):
    network = Behind()
    network.num_prefix_tokens, network.num_suffix_tokens = front, 4 - front
    layer = act_of(network, (32, 32))
    assert (layer.prefix, layer.suffix, layer.class_token, layer.grid) == (4, 4 - front, True, (4, 4))
    numbers = torch.arange(20.0)[None, :, None].expand(2, 20, 8)
    order = [*range(front), *range(16 + front, 20), *range(front, 16 + front)]
    assert layer.canonical(numbers)[0, :, 0].tolist() == order


def test_a_module_that_has_no_tokens_behind_has_those_in_front():
    network = Transformer()
    network.num_suffix_tokens = 0
    layer = act_of(network, (32, 32))
    assert (layer.prefix, layer.suffix) == (1, 0)


def test_tokens_behind_are_pooled_apart_from_the_patches():
    backbone = load(Behind(), preprocessing=Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3))
    plan = Plan.build(layers(backbone, "acts.0"), [], statistics=("mean", "centre"))
    seen: list[torch.Tensor] = []
    backbone.module.acts[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    rows = PooledNetwork(backbone.module, plan).rows(noise_batch(backbone, 2))
    blocks = {block.operation: rows[:, block.start : block.stop] for block in plan.blocks if block.layer == "acts.0"}
    torch.testing.assert_close(blocks["cls"], seen[0][:, 16])
    torch.testing.assert_close(blocks["rest-mean:4"], seen[0][:, :16].mean(1))
    assert "centre:4,4,4" in blocks
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_detection_tokens_of_yolos_stand_behind():
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.YolosConfig(image_size=[32, 32], patch_size=8, num_detection_tokens=10, **small)
    torch.manual_seed(0)
    found = layers(load(transformers.YolosModel(config), preprocessing=Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3)))
    block = next(layer for layer in found if layer.name == "encoder.layer.0")
    assert (block.shape[0], block.prefix, block.suffix, block.grid) == (27, 11, 10, (4, 4))
