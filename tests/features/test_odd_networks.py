"""Layers of networks with unusual names, weights and outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from head2toe.features.extractor import extract
from head2toe.features.outputs import first_tensor
from head2toe.features.plan import Plan
from head2toe.features.taps import layers


class NamedOutput(nn.Module):
    """Has a part of the name that the network's own output gets, and one named like a second run."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.act, self.conv = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2)
        self.add_module("act#1", nn.Tanh())
        self.output = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5))

    def forward(self, x):
        x = self.act(self.conv(self.act(self.stem(x))))
        x = self.get_submodule("act#1")(self.conv(x))
        return self.output(x.mean((2, 3))).log_softmax(1)


def test_layers_of_one_name_are_told_apart_and_both_extracted(own, pictures):
    backbone = own(NamedOutput().eval())
    found = layers(backbone)
    names = [layer.name for layer in found]
    assert len(set(names)) == len(names) and {"output", "output~2", "act#1", "act#1~2"} <= set(names)
    plan = Plan.build(found, (8,))
    rows = extract(backbone, pictures(3), plan, dtype="float32", device="cpu", progress=False).rows
    logits, outcome = (
        np.concatenate([rows[:, block.start : block.stop] for block in plan.blocks if block.layer == name], axis=1)
        for name in ("output", "output~2")
    )
    np.testing.assert_allclose(torch.from_numpy(logits).log_softmax(1).numpy(), outcome, rtol=1e-5, atol=1e-6)
    assert np.abs(logits - outcome).max() > 0.1
    assert [layer.name for layer in layers(backbone, "output~2") if layer.selected] == ["output~2"]


def test_a_part_may_have_the_name_that_would_tell_another_apart(own):
    network = NamedOutput()
    network.add_module("output~2", nn.Tanh())
    network.forward = lambda x: network.get_submodule("output~2")(NamedOutput.forward(network, x)).exp()
    names = [layer.name for layer in layers(own(network.eval()))]
    assert {"output", "output~2", "output~3"} <= set(names) and len(set(names)) == len(names), names


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c, self.d = (nn.Conv2d(*sizes) for sizes in ((3, 8, 3), (8, 8, 3), (8, 8, 3), (8, 5, 1)))

    def forward(self, x):
        for layer in (self.a, self.b, self.c):
            x = layer(x).relu()
        return self.d(x).mean((2, 3))


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_that_are_made_of_others_change_no_list(own, norm):
    plain, normed = Functional(), Functional()
    for part in (normed.a, normed.b, normed.c, normed.d):
        norm(part)
    assert layers(own(normed.eval())) == layers(own(plain.eval()))
    chain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), norm(nn.Conv2d(8, 8, 3)), nn.Tanh(), nn.Flatten())
    assert [layer.name for layer in layers(own(chain.eval()))] == ["1", "3", "output"]


def test_of_a_dictionary_of_maps_the_coarsest_counts():
    fine, coarse = torch.rand(2, 4, 8, 8), torch.rand(2, 8, 4, 4)
    assert first_tensor({"layer1": fine, "layer2": coarse}, 2) is coarse
    assert first_tensor({"last_hidden_state": fine, "layer2": coarse}, 2) is fine
    assert first_tensor({"out": fine, "aux": fine + 1}, 2) is fine  # heads of one network for segmentation
    assert first_tensor({"out": fine, "aux": torch.rand(2, 4, 4, 4)}, 2) is fine
    assert first_tensor({"features": fine, "attention": torch.rand(2, 1, 4, 4)}, 2) is fine
