"""A tiny network with random weights, as a user's own module and as a folder in timm's hub layout; tiny pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from head2toe.backbones import Preprocessing
from head2toe.backbones.torchvision_ops import declare_missing_operators

SIDE = 32
PREPROCESSING = Preprocessing(size=(SIDE, SIDE), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

QUICK = {
    "target_sizes": (64, 256),
    "fractions": (0.1, 1.0),
    "strengths": (0.01,),
    "cv": 3,
    "cache": False,
    "dtype": "float32",
    "batch_size": 16,
}


def tiny_network(seed=0):
    """timm's `test_resnet`; its weights are drawn at random."""
    declare_missing_operators()
    import timm

    torch.manual_seed(seed)
    return timm.create_model("test_resnet", pretrained=False, num_classes=10)


def write_local_dir(folder: Path, seed: int) -> str:
    folder.mkdir(exist_ok=True)
    network = tiny_network(seed)
    config = {
        "architecture": "test_resnet",
        "num_classes": 10,
        "num_features": network.num_features,
        "pretrained_cfg": {
            "input_size": [3, SIDE, SIDE],
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "classifier": "fc",
            "first_conv": "conv1",
            "num_classes": 10,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / "model.safetensors"
    )
    return f"timm/local-dir:{folder}"


def pictures(n=30, seed=0):
    """Noise, uint8 (n, 32, 32, 3), with a bright square whose place is the class: left, middle or right."""
    rng = np.random.default_rng(seed)
    labels = np.array(["left", "middle", "right"])[np.arange(n) % 3]
    images = rng.integers(0, 80, size=(n, SIDE, SIDE, 3), dtype=np.uint8)
    for image, column in zip(images, np.arange(n) % 3, strict=True):
        top = rng.integers(0, SIDE - 10)
        image[top : top + 10, 11 * column : 11 * column + 10] += 150
    return images, labels
