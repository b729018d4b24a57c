"""Taps: what is found, in which order, of which kind; and that looking changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from head2toe.backbones.running import run
from head2toe.errors import LayerPatternError, NoLayerError, PreprocessingError
from head2toe.features.hooks import watch
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch
from head2toe.features.outputs import first_tensor
from head2toe.features.plan import Plan
from head2toe.features.taps import layers

# Residual networks, transformers, channels-last maps, several runs of a module, class attention, gates, hybrid ones.
ARCHITECTURES = [
    "test_resnet",
    "test_vit",
    "test_vit2",
    "test_vit_relpos",
    "test_convnext",
    "test_efficientnet",
    "test_byobnet",
    "test_mambaout",
    "test_nfnet",
    "test_maxvit",
    "test_coatnet",
]


def test_small_network_in_order_of_execution(small):
    found = layers(small)
    assert [(layer.name, layer.kind, layer.shape) for layer in found] == [
        ("act", "map", (8, 16, 16)),
        ("blocks.0.act", "map", (8, 16, 16)),
        ("blocks.0", "map", (8, 16, 16)),
        ("blocks.1.act", "map", (8, 16, 16)),
        ("blocks.1", "map", (8, 16, 16)),
        # `blocks`, `drop` and `drop.0` repeat `blocks.1`; `attn` is named like an attention and gives a tuple.
        ("attn", "map", (8, 16, 16)),
        ("act#1", "map", (8, 16, 16)),
        # The pooled map is the classifier's input once more.
        ("fc:input", "vector", (8,)),
        ("output", "vector", (5,)),
    ]
    assert [layer.name for layer in found if layer.penultimate] == ["fc:input"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures(timm_backbone, name):
    backbone = timm_backbone(name, num_classes=11)
    batch = noise_batch(backbone, 2)
    before = run(backbone.module, batch)
    found = layers(backbone)
    assert found == layers(backbone)
    assert len({layer.name for layer in found}) == len(found)
    assert sum(layer.penultimate for layer in found) == 1
    assert found[-1].shape == (11,)
    penultimate = next(layer for layer in found if layer.penultimate)
    assert penultimate.kind == "vector"
    assert penultimate.shape == (backbone.module.head_hidden_size,)

    seen = {}

    def see(module, where, call, value):
        tensor = first_tensor(value)
        if tensor is not None:
            seen[module, where, call] = tensor.shape

    with watch(backbone.module, {layer.key[:2] for layer in found}, see):
        during = run(backbone.module, batch)
    assert torch.equal(before, during)
    assert torch.equal(before, run(backbone.module, batch))
    for layer in found:
        tensor = torch.empty(seen[layer.key])
        canonical = tuple(layer.canonical(tensor).shape)
        expected = (layer.shape[1], layer.shape[2], layer.shape[0]) if layer.kind == "map" else layer.shape
        assert canonical == (2, *expected)


@pytest.mark.parametrize("name", ["test_convnext", "test_mambaout", "test_maxvit", "test_resnet", "test_byobnet"])
def test_places_are_told_from_channels(timm_backbone, name):
    """At another input size the places change and the channels do not."""
    small, large = (
        (layers(timm_backbone(name, size)) for size in (128, 192))
        if name != "test_maxvit"
        else (layers(timm_backbone(name, size, img_size=size)) for size in (128, 192))
    )
    assert [layer.name for layer in small] == [layer.name for layer in large]
    maps = [(a, b) for a, b in zip(small, large, strict=True) if b.kind == "map" and a.kind == "map"]
    assert len(maps) > 5
    for a, b in maps:
        assert a.shape[0] == b.shape[0]
        assert a.shape[1] < b.shape[1]
        assert a.channels_last == b.channels_last


def test_class_tokens_are_counted(timm_backbone):
    backbone = timm_backbone("test_vit", reg_tokens=4, class_token=True)
    found = {layer.name: layer for layer in layers(backbone)}
    assert found["blocks.0"].prefix == 5
    assert found["blocks.0"].shape[0] == 105
    assert found["patch_embed"].prefix == 0


def test_network_without_classifier_gives_its_output_as_features(timm_backbone):
    backbone = timm_backbone("test_resnet", num_classes=0)
    (penultimate,) = (layer for layer in layers(backbone) if layer.penultimate)
    assert (penultimate.name, penultimate.shape) == ("output", (96,))


def test_first_tensor_of_outputs():
    tensor = torch.ones(1)
    assert first_tensor((tensor, None)) is tensor
    assert first_tensor([(tensor,), 3]) is tensor
    assert first_tensor({"hidden_states": (tensor,), "last_hidden_state": tensor, "x": torch.zeros(2)}) is tensor
    assert first_tensor({"loss": None}) is None
    assert first_tensor(7) is None


def test_dict_outputs_are_tapped(own):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.Flatten()
            self.head = nn.Linear(3 * 32 * 32, 4)

        def forward(self, x):
            return {"logits": self.head(self.attention(x)), "extra": x}

    found = layers(own(Wrapped()))
    assert [(layer.name, layer.shape) for layer in found] == [("head:input", (3072,)), ("output", (4,))]


def test_patterns_narrow(small):
    names = [layer.name for layer in layers(small, "blocks.*")]
    assert names == ["blocks.0.act", "blocks.0", "blocks.1.act", "blocks.1", "fc:input"]
    assert [layer.name for layer in layers(small, "blocks.*") if not layer.selected] == ["fc:input"]
    assert [layer.name for layer in layers(small, ["act", r"re:^act#\d$"]) if layer.selected] == ["act", "act#1"]
    assert all(layer.selected for layer in layers(small, "*"))


@pytest.mark.parametrize(
    ("pattern", "message"), [("block.1", "blocks.1"), (["act", "re:^zzz"], "zzz"), ("re:(", "no regular")]
)
def test_a_pattern_that_matches_nothing_is_refused(small, pattern, message):
    with pytest.raises(LayerPatternError, match=message):
        layers(small, pattern)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_cube_is_told_by_its_values(own, channels_last):
    class Cube(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 3, padding=1, stride=2)
            self.act = nn.ReLU()

        def forward(self, x):
            x = self.conv(x)
            return self.act(x.permute(0, 2, 3, 1) if channels_last else x).flatten(1)

    torch.manual_seed(0)
    assert layers(own(Cube()))[0].channels_last == channels_last


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (0, 1, 2, 3)])
@pytest.mark.parametrize("channels", [8, 60, 68])
def test_of_windows_by_tokens_the_values_tell_the_channels(own, axes, channels):
    """(B, windows, tokens, C), or (B, C, windows, tokens): no two axes have the image's proportions."""

    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, channels, 3, padding=1, stride=2)  # maps of 16 x 16
            self.act = nn.ReLU()

        def forward(self, x):
            parts = self.conv(x).unflatten(2, (2, 8)).unflatten(4, (2, 8)).transpose(3, 4)
            return self.act(parts.flatten(4).flatten(2, 3).permute(axes)).flatten(1)  # 4 windows of 64 tokens

    torch.manual_seed(0)
    layer = layers(own(Windows()))[0]
    assert layer.kind == "map" and layer.channels_last == (axes[1] == 2)
    assert layer.shape == (channels, 4, 64)


class NoTensors(nn.Module):
    def forward(self, x):
        return "text"


class Numbers(nn.Module):
    def forward(self, x):
        return x.flatten(1).argmax(1)


class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(7, 3)

    def forward(self, x):
        return self.fc(x)


class TwoWays(nn.Module):
    """Dark images go one way, bright ones another."""

    def __init__(self):
        super().__init__()
        self.dark = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.bright = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU())

    def forward(self, x):
        return (self.bright(x) if x.mean() > 0.5 else self.dark(x)).mean((2, 3))


@pytest.mark.parametrize("module", [NoTensors(), Numbers()])
def test_networks_with_nothing_to_tap_are_refused(own, module):
    with pytest.raises(NoLayerError, match="none can be tapped"):
        layers(own(module))


def test_blocks_with_the_images_along_the_second_axis_are_told_of(own, caplog):
    class Sideways(nn.Module):
        def __init__(self, batch_first):
            super().__init__()
            self.batch_first = batch_first
            self.patches = nn.Conv2d(3, 8, 8, stride=8)
            block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
            self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
            self.fc = nn.Linear(8, 5)

        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            tokens = tokens if self.batch_first else tokens.transpose(0, 1)
            return self.fc(self.blocks(tokens).mean(1 if self.batch_first else 0))

    with caplog.at_level("WARNING", "head2toe"):
        usual = [layer.name for layer in layers(own(Sideways(batch_first=True)))]
        assert not caplog.records and any("blocks.layers.1" in name for name in usual)
        turned = [layer.name for layer in layers(own(Sideways(batch_first=False)))]
    assert not any("blocks" in name for name in turned)
    assert "make the network batch first" in caplog.text and "blocks" in caplog.text


def test_a_network_that_does_not_run_on_its_images_is_refused(own):
    with pytest.raises(PreprocessingError, match=r"Other does not run on images \(3, 32, 32\)"):
        layers(own(Other()))


def test_a_way_that_depends_on_the_image_is_refused_when_it_is_not_taken(own):
    backbone = own(TwoWays())
    network = PooledNetwork(backbone.module, Plan.build(layers(backbone), (16,)), stop_early=False)
    assert network.rows(torch.zeros(2, 3, 32, 32)).shape == (2, network.plan.d)
    with pytest.raises(NoLayerError, match=r"dark\.1 did not run"):
        network.rows(torch.ones(2, 3, 32, 32))


class Dropping(nn.Module):
    """A function, not a module, drops numbers: eval mode does not reach it."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3), nn.ReLU()

    def forward(self, x):
        return nn.functional.dropout(self.act(self.conv(x)), 0.5).mean((2, 3))


def test_a_network_that_is_partly_chance_is_told_of(own, caplog):
    layers(own(Dropping()))
    assert "other numbers for the same images at a second look" in caplog.text


def test_a_network_that_writes_into_its_input_is_not_taken_for_chance(own, caplog):
    layers(own(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())))
    assert not caplog.text


class StarReLU(nn.Module):
    def forward(self, x):
        return x.relu() ** 2


def test_activations_of_other_packages_are_told_by_their_names(own):
    found = layers(own(nn.Sequential(nn.Conv2d(3, 4, 3), StarReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())))
    assert "1" in {layer.name for layer in found}


class Pooling(nn.Module):
    """A head on tokens: their mean, the first, or a sum that weighs them."""

    def __init__(self, how):
        super().__init__()
        self.how, self.patches, self.score, self.head = how, nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 1), nn.Linear(8, 5)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        made = self.head(tokens)
        if self.how == "weighed":
            return (made * self.score(5 * tokens).softmax(1)).sum(1)
        return made.mean(1) if self.how == "mean" else made[:, 0]


@pytest.mark.parametrize(("how", "read"), [("mean", "head:input"), ("first", "head:input"), ("weighed", "output")])
def test_of_a_head_that_weighs_tokens_the_output_is_read(own, how, read):
    backbone = replace(own(Pooling(how)), classifier="head")
    found = layers(backbone)
    assert [layer.name for layer in found if layer.penultimate] == [read]
    plan = Plan.build(found, [8])
    (number,) = plan.views["linear"]
    assert plan.blocks[number].operation == {"mean": "mean", "first": "cls", "weighed": "identity"}[how]


class Registered(nn.Module):
    """Registers in front of the patches, and no class token."""

    def __init__(self, name):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 8, 8, 8)
        self.register_parameter(name, nn.Parameter(torch.randn(1, 2, 8)))
        self.name, self.mlp, self.head = name, nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x):
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = self.mlp(torch.cat([getattr(self, self.name).expand(len(x), -1, -1), tokens], 1))
        return self.head(tokens.mean(1))


@pytest.mark.parametrize(("name", "has_class"), [("reg_token", False), ("cls_token", True)])
def test_registers_are_no_class_token(own, name, has_class):
    found = layers(own(Registered(name)))
    tokens = next(layer for layer in found if layer.name == "mlp")
    assert (tokens.prefix, tokens.class_token, tokens.grid) == (2, has_class, (4, 4))
    plan = Plan.build(found, [8], cls_token="alone", statistics=("mean", "centre"))
    operations = {block.operation for block in plan.blocks if block.layer == "mlp"}
    assert ("cls" in operations) == has_class
    assert {"rest-mean:2", "centre:4,4,2"} <= operations
