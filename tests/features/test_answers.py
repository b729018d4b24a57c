"""What a module of one's own makes of noise: the same from the same code, another thing from other code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from head2toe.backbones import Backbone
from head2toe.features.behaviour import answers, other_answer


class Negative(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x.clamp(max=0)


class Doubled(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(2 * x)


def written_of(backbone: Backbone) -> dict[str, Any]:
    written = answers(backbone)
    assert written is not None
    return json.loads(json.dumps(written))


def network(activation: nn.Module | None = None, doubled: bool = False) -> nn.Module:
    torch.manual_seed(0)
    convolution = Doubled(3, 8, 3, padding=1) if doubled else nn.Conv2d(3, 8, 3, padding=1)
    return nn.Sequential(convolution, activation or nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


def test_the_same_code_gives_the_same_answers_through_json(own):
    written = written_of(own(network()))
    assert len(written["moments"]) == 6
    assert other_answer(own(network()), written) is None


@pytest.mark.parametrize(
    ("changed", "where"),
    [(network(Negative()), "1:0"), (network(nn.GELU()), "1:0"), (network(doubled=True), "0:0")],
)
def test_other_code_with_the_same_weights_gives_other_ones(own, changed, where):
    assert own(changed).weights_sha256 == own(network()).weights_sha256
    assert other_answer(own(changed), written_of(own(network()))) == where


def test_what_is_done_to_negative_inputs_is_seen(own):
    written = written_of(own(nn.Sequential(nn.Identity(), network())))
    assert other_answer(own(nn.Sequential(nn.ReLU(), network())), written) == "0:0"
    assert other_answer(own(nn.Sequential(nn.Identity(), network())), written) is None


def test_what_is_random_in_a_network_is_not_written_down(own):
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand_like(x)

    written = written_of(own(network(Noisy())))
    assert set(written["moments"]) == {"0:0"}
    assert other_answer(own(network(Noisy())), written) is None


def test_of_a_folder_a_module_that_did_nothing_and_is_gone_is_no_other_code(own):
    """As after a renewal of the library that it is read with."""

    def read(*modules: nn.Module) -> Backbone:
        return replace(own(nn.Sequential(*modules)), spec="timm/local-dir:somewhere")

    written = written_of(read(network(), nn.Identity()))
    assert other_answer(read(network()), written) is None
    assert other_answer(read(network(nn.GELU())), written) == "0.1:0"


def test_rounding_is_no_other_code(own):
    written = written_of(own(network()))
    for pairs in written["moments"].values():
        pairs[:] = [[mean * 1.001, spread * 0.999] for mean, spread in pairs]
    assert other_answer(own(network()), written) is None
