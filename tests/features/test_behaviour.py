"""Networks and transforms of one name are told apart by what they do."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from head2toe.backbones import Preprocessing, load
from head2toe.features.behaviour import behaviour

PREPROCESSING = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3)


class TwoEnds(nn.Module):
    """Makes logits, and something beside them that they do not depend on."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.beside, self.head, self.act = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3), nn.Linear(8, 4), act

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self.first(x)
        return {"logits": self.head(seen.mean((2, 3))), "beside": self.act(self.beside(seen))}


def tensor(picture) -> torch.Tensor:
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 255


def cropped(picture) -> torch.Tensor:
    return tensor(picture.crop((0, 0, min(picture.size), min(picture.size))).resize((32, 32)))


def made(transform) -> str | None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return behaviour(load(network, preprocessing=transform))


def test_the_same_twice_is_the_same() -> None:
    assert made(cropped) == made(cropped) is not None
    assert behaviour(load("embedded")) is None  # what is described needs no trial


def test_of_a_folder_its_description_counts_and_no_number_that_a_processor_makes(tmp_path) -> None:
    folder = tmp_path / "network"
    backbone = replace(load("embedded"), spec=f"timm/local-dir:{folder}", revision="a_tag")  # as its file may have one
    folder.mkdir()
    found = []
    for text in ("{}", '{"act": "relu"}', "{}"):
        (folder / "config.json").write_text(text)
        found.append(behaviour(backbone))
    assert found[0] == found[2] != found[1]
    assert found[0] == hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize("act", [nn.Tanh(), nn.Identity()])
def test_a_change_beside_the_output_is_another_network(act: nn.Module) -> None:
    before, after = (behaviour(load(TwoEnds(one), preprocessing=PREPROCESSING)) for one in (nn.ReLU(), act))
    assert before != after


@pytest.mark.parametrize(
    "other",
    [
        lambda picture: tensor(picture.resize((32, 32))),
        lambda picture: cropped(picture.transpose(0)),
        lambda picture: cropped(picture) * (1 if min(picture.size) > 50 else 2),
    ],
    ids=["whole", "mirrored", "of small ones"],
)
def test_another_transform_is_another(other) -> None:
    assert made(cropped) != made(other)


def test_a_transform_that_refuses_some_pictures_is_no_error() -> None:
    def picky(picture) -> torch.Tensor:
        if min(picture.size) < 50:
            raise ValueError("too small")
        return cropped(picture)

    assert made(picky) != made(cropped)
