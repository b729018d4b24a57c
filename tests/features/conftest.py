"""Small networks and pictures for the tests of features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from head2toe.backbones import Preprocessing, load
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import UnreadableImageError


class Pictures:
    """Seeded noise pictures; those in `broken` cannot be read, reading beyond `stop_at` ends in an interruption."""

    def __init__(self, n, broken=(), stop_at=None):
        self.n, self.broken, self.stop_at = n, frozenset(broken), stop_at
        self.reads = 0

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.reads += 1
        if self.stop_at is not None and i >= self.stop_at:
            raise KeyboardInterrupt
        if i in self.broken:
            raise UnreadableImageError(f"picture {i} is broken")
        pixels = np.random.default_rng(i).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        return Image.fromarray(pixels).resize((64, 64))

    def identity(self, i):
        return f"noise-{i}"


class SmallNet(nn.Module):
    """In-place activations, a module that runs twice, a tuple output, a residual and a wrapper of equal values."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.blocks = nn.Sequential(Residual(8), Residual(8))
        self.drop = nn.Sequential(nn.Sequential(nn.Dropout(0.5)))
        self.attn = Pair(8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.act(self.stem(x))
        x = self.blocks(x)
        x = self.attn(self.drop(x))[0]
        x = self.act(-x)
        return self.fc(self.pool(x).flatten(1))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.act = nn.GELU()

    def forward(self, x):
        y = self.act(self.conv(x))
        y += x
        return y


class Pair(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x):
        return self.mix(x), None


def preprocessing(size=32):
    return Preprocessing(size=(size, size), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def own_backbone(module, size=32):
    return load(module, preprocessing=preprocessing(size))


@pytest.fixture(scope="session")
def small():
    """A backbone of `SmallNet` with fixed random weights."""
    torch.manual_seed(0)
    return own_backbone(SmallNet())


@pytest.fixture(scope="session")
def timm_backbone():
    """Make one of timm's test architectures with fixed random weights."""
    declare_missing_operators()
    import timm

    def make(name, size=None, **options):
        torch.manual_seed(0)
        module = timm.create_model(name, pretrained=False, **options)
        return own_backbone(module, size or module.pretrained_cfg["input_size"][-1])

    return make


@pytest.fixture
def pictures():
    return Pictures


@pytest.fixture
def own():
    return own_backbone
