"""Augmentation of the images that a network is trained on, as ImageNet networks are trained."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

AREA = 0.25, 1.0  # of a picture, that a crop has


def augmented(batch: Tensor) -> Tensor:
    """A random crop of each image, resized back, and of half of them the mirror image; draws from torch's generator.

    Parameters
    ----------
    batch : float32 Tensor (B, channels, H, W)

    Returns
    -------
    Tensor of the same shape
    """
    change = _change(batch.shape[-2], batch.shape[-1])
    return torch.stack([change(image) for image in batch])


@cache
def _change(height: int, width: int) -> Any:
    from torchvision.transforms import v2

    return v2.Compose([v2.RandomResizedCrop((height, width), scale=AREA, antialias=True), v2.RandomHorizontalFlip()])
