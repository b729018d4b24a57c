"""Small randomly initialised models of `transformers`, saved in the hub's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from head2toe.backbones.torchvision_ops import declare_missing_operators

declare_missing_operators()
import transformers as hf  # noqa: E402

TOKENS = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
VIT = {**TOKENS, "image_size": 32, "patch_size": 8}
STAGES = {"depths": [1, 2], "hidden_sizes": [8, 16]}
CLASSES = {"num_labels": 5}
SQUARE = {"height": 32, "width": 32}


def _clip() -> Any:
    text = {**TOKENS, "vocab_size": 99}
    return hf.CLIPModel(hf.CLIPConfig(vision_config=VIT, text_config=text))


def _siglip() -> Any:
    text = {**TOKENS, "vocab_size": 99}
    return hf.SiglipModel(hf.SiglipConfig(vision_config=VIT, text_config=text))


# Name -> (model, image processor). Both a bare model and one with a classifier of several architectures.
MODELS: dict[str, Any] = {
    "vit": lambda: hf.ViTModel(hf.ViTConfig(**VIT)),
    "vit_without_pooler": lambda: hf.ViTModel(hf.ViTConfig(**VIT), add_pooling_layer=False),
    "vit_classifier": lambda: hf.ViTForImageClassification(hf.ViTConfig(**VIT, **CLASSES)),
    "deit_classifier": lambda: hf.DeiTForImageClassification(hf.DeiTConfig(**VIT, **CLASSES)),
    "deit_distilled": lambda: hf.DeiTForImageClassificationWithTeacher(hf.DeiTConfig(**VIT, **CLASSES)),
    "dinov2": lambda: hf.Dinov2Model(hf.Dinov2Config(**VIT)),
    "dinov2_larger": lambda: hf.Dinov2Model(hf.Dinov2Config(**{**VIT, "image_size": 56})),
    "dinov2_registers": lambda: hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**VIT)),
    "beit": lambda: hf.BeitModel(hf.BeitConfig(**VIT)),
    "clip": _clip,
    "siglip": _siglip,
    "swin": lambda: hf.SwinModel(
        hf.SwinConfig(image_size=32, patch_size=4, embed_dim=16, depths=[1, 2], num_heads=[2, 4], window_size=4)
    ),
    "convnext": lambda: hf.ConvNextModel(hf.ConvNextConfig(num_stages=2, **STAGES)),
    "convnext_classifier": lambda: hf.ConvNextForImageClassification(
        hf.ConvNextConfig(num_stages=2, **STAGES, **CLASSES)
    ),
    "resnet": lambda: hf.ResNetModel(hf.ResNetConfig(embedding_size=8, layer_type="basic", **STAGES)),
    "resnet_classifier": lambda: hf.ResNetForImageClassification(
        hf.ResNetConfig(embedding_size=8, layer_type="basic", **STAGES, **CLASSES)
    ),
}
PROCESSORS: dict[str, Any] = {
    "dinov2": lambda: hf.BitImageProcessor(size={"shortest_edge": 36}, crop_size=SQUARE),
    "dinov2_registers": lambda: hf.BitImageProcessor(size={"shortest_edge": 36}, crop_size=SQUARE),
    "dinov2_larger": lambda: hf.BitImageProcessor(size={"shortest_edge": 36}, crop_size=SQUARE),
    "beit": lambda: hf.BeitImageProcessor(size=SQUARE, do_center_crop=False),
    "clip": lambda: hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE),
    "siglip": lambda: hf.SiglipImageProcessor(size=SQUARE),
    "convnext": lambda: hf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875),
    "resnet": lambda: hf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875),
}


def save(name: str, folder: Path) -> str:
    """Write one of `MODELS` with its processor; return its specification."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # away from zeros and ones, so that every part leaves its trace
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    family = name if name in PROCESSORS else name.partition("_")[0]
    PROCESSORS.get(family, lambda: hf.ViTImageProcessor(size=SQUARE))().save_pretrained(folder)
    return f"hf/{folder}"
