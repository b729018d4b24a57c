"""Parts of networks that call activations as functions, keep blocks as attributes, or stages in a dictionary."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from head2toe.features.candidates import candidates
from head2toe.features.plan import Plan
from head2toe.features.taps import layers


class Residual(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        return x + F.relu(self.norm(self.conv(x)))


class Digits(nn.Module):
    """As in PyTorch's example for MNIST."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(3136, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = self.dropout1(F.max_pool2d(x, 2)).flatten(1)
        return F.log_softmax(self.fc2(self.dropout2(F.relu(self.fc1(x)))), 1)


class Attributes(nn.Module):
    def __init__(self, depth=0):
        super().__init__()
        self.b1, self.b2, self.b3 = (Attributes(depth - 1) if depth else Residual() for _ in range(3))

    def forward(self, x):
        return self.b3(self.b2(self.b1(x)))


class Around(nn.Module):
    """A stem and a classifier around an encoder."""

    def __init__(self, encoder):
        super().__init__()
        self.stem, self.encoder, self.fc = nn.Conv2d(3, 8, 1), encoder, nn.Linear(8, 5)

    def encoded(self, x):
        return self.encoder(x)

    def forward(self, x):
        return self.fc(self.encoded(self.stem(x)).mean((2, 3)))


class Stages(Around):
    def __init__(self):
        super().__init__(nn.ModuleDict({name: Residual() for name in ("low", "middle", "high")}))

    def encoded(self, x):
        for stage in self.encoder.values():
            x = stage(x)
        return x


class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def maps(found):
    return [layer.name for layer in found if layer.kind == "map"]


def penultimate(found):
    return [layer.name for layer in found if layer.penultimate]


def test_activations_called_as_functions_hide_no_layer(own):
    found = layers(own(Digits()))
    names = ["conv1", "conv2", "fc1", "fc2:input", "fc2", "output"]  # the output is the logarithm of probabilities
    assert [layer.name for layer in found] == names and penultimate(found) == ["fc2:input"]


def test_blocks_in_a_dictionary_are_blocks(own):
    found = layers(own(Stages()))
    assert maps(found) == ["encoder.low", "encoder.middle", "encoder.high"] and penultimate(found) == ["fc:input"]


def test_blocks_that_are_attributes_of_a_part_are_found(own):
    found = layers(own(Around(Attributes())))
    # The encoder itself repeats its last block.
    assert maps(found) == ["stem", "encoder.b1", "encoder.b2", "encoder.b3"] and penultimate(found) == ["fc:input"]


def test_a_large_part_of_a_large_network_is_looked_into(own):
    """243 blocks in three parts of a third each, which alone would be too few taps."""
    found = maps(layers(own(Around(Attributes(depth=4)))))
    ninths = {f"encoder.b{i}.b{j}" for i in (1, 2, 3) for j in (1, 2, 3)}  # each repeats its last third
    assert {f"{name}.b{k}" for name in ninths for k in (1, 2, 3)} <= set(found)


@pytest.mark.parametrize("make", [Digits, lambda: Around(Attributes()), Stages])
def test_a_wrapper_changes_names_alone(own, make):
    torch.manual_seed(0)
    network = make()
    bare, inside = layers(own(network)), layers(own(Wrapped(network)))
    assert {layer.name.removeprefix("net.") for layer in inside} >= {layer.name for layer in bare} - {"output", "fc"}
    assert Plan.build(inside, (8,)).d >= Plan.build(bare, (8,)).d


def test_inception_inside_a_wrapper_has_its_blocks(own):
    from head2toe.backbones.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False)
    bare, inside = (candidates(module, None) for module in (network, Wrapped(network)))
    assert {f"net.{name}" for name, where in bare if where == "output" and name} <= {name for name, _ in inside}


@pytest.mark.parametrize("width", [4, 64])
def test_a_network_of_two_layers_and_their_activations_stays_as_it_is(own, width):
    network = nn.Sequential(
        nn.Conv2d(3, width, 3),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    assert [layer.name for layer in layers(own(network))] == ["2", "5", "8:input", "output"]


def test_a_dictionary_with_a_forward_of_its_own_is_a_block(own):
    class Dense(nn.ModuleDict):
        def forward(self, x):
            for part in self.values():
                x = part(x)
            return x

    network = nn.Sequential(*(Dense({"a": Residual(3), "b": Residual(3)}) for _ in range(3)), nn.Flatten())
    assert maps(layers(own(network))) == ["0", "1", "2"]


def test_inputs_that_are_no_layers_are_not_missed(own, caplog):
    """A projection inside an attention sees the images along its second axis; its block does not."""

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.project = nn.Linear(8, 8)

        def forward(self, tokens):
            return self.project(tokens.transpose(0, 1)).transpose(0, 1)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 8, stride=8)
            self.blocks = nn.ModuleList([Turned() for _ in range(3)])
            self.fc = nn.Linear(8, 5)

        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            for block in self.blocks:
                tokens = block(tokens)
            return self.fc(tokens.mean(1))

    with caplog.at_level("WARNING", "head2toe"):
        found = layers(own(Tokens()))
    assert {"blocks.0", "blocks.1", "blocks.2"} <= {layer.name for layer in found} and not caplog.records
