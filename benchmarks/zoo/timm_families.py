"""timm's families: one small architecture of each with random weights, and what must hold of its taps."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch

from head2toe.backbones import Backbone, Preprocessing, load
from head2toe.backbones.running import run
from head2toe.backbones.timm_zoo import classifier_of
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.features import Layer, layers
from head2toe.features.hooks import watch
from head2toe.features.noise import noise_batch
from head2toe.features.outputs import first_tensor

declare_missing_operators()
import timm  # noqa: E402

SIDE = 128  # pixels, where the network is not bound to a size of its own
SHALLOW = {"depth": 3, "embed_dim": 96, "num_heads": 3}
ONE_EACH = {"depths": (1, 1, 1, 1)}

# Module of timm -> an architecture of it, and options that make it smaller.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "beit": ("beit_base_patch16_224", SHALLOW),
    "byoanet": ("eca_botnext26ts_256", {}),
    "byobnet": ("mobileone_s0", {}),
    "cait": ("cait_xxs24_224", {"depth": 3}),
    "coat": ("coat_lite_tiny", {}),
    "convit": ("convit_tiny", {}),
    "convmixer": ("convmixer_768_32", {}),
    "convnext": ("convnext_atto", {}),
    "cpubone": ("cpubone_nano", {}),
    "crossvit": ("crossvit_tiny_240", {}),
    "csatv2": ("csatv2", {"side": 512}),
    "cspnet": ("cs3darknet_focus_s", {}),
    "cspnext": ("cspnext_tiny", {}),
    "davit": ("davit_tiny", ONE_EACH),
    "deepseek_vit": ("deepseek_vit_412m", {**SHALLOW, "side": 112}),
    "deit": ("deit_tiny_patch16_224", {}),
    "densenet": ("densenet121", {}),
    "dla": ("dla46x_c", {}),
    "dpn": ("dpn48b", {}),
    "edgenext": ("edgenext_xx_small", {}),
    "efficientformer": ("efficientformer_l1", {}),
    "efficientformer_v2": ("efficientformerv2_s0", {}),
    "efficientnet": ("mnasnet_small", {}),
    "efficientvim": ("efficientvim_m1", {}),
    "efficientvit_mit": ("efficientvit_b0", {}),
    "efficientvit_msra": ("efficientvit_m0", {}),
    "eva": ("eva02_tiny_patch14_224", {"depth": 3}),
    "fasternet": ("fasternet_t0", {}),
    "fastvit": ("fastvit_t8", {}),
    "focalnet": ("focalnet_tiny_srf", {}),
    "gcvit": ("gcvit_xxtiny", {}),
    "gemma4_vit": ("gemma4_vit_167m", SHALLOW),
    "ghostnet": ("ghostnet_050", {}),
    "hardcorenas": ("hardcorenas_a", {}),
    "hgnet": ("hgnetv2_b0", {}),
    "hiera": ("hiera_tiny_224", {"stages": (1, 1, 1, 1)}),
    "hieradet_sam2": ("sam2_hiera_tiny", {}),
    "hrnet": ("hrnet_w18_small", {}),
    "iformer": ("iformer_t", {}),
    "inception_next": ("inception_next_atto", {}),
    "inception_resnet_v2": ("inception_resnet_v2", {}),
    "inception_v3": ("inception_v3", {}),
    "inception_v4": ("inception_v4", {}),
    "lcnetv2": ("lcnetv2_small", {}),
    "levit": ("levit_128s", {}),
    "lowformer": ("lowformer_b0", {}),
    "mambaout": ("mambaout_femto", {}),
    "maxxvit": ("coatnet_pico_rw_224", {}),
    "metaformer": ("poolformer_s12", {}),
    "mlp_mixer": ("mixer_s32_224", {}),
    "mobilenetv3": ("mobilenetv3_small_050", {}),
    "mobilevit": ("mobilevit_xxs", {}),
    "mvitv2": ("mvitv2_tiny", {}),
    "naflexvit": ("naflexvit_base_patch16_gap", SHALLOW),
    "nest": ("nest_tiny", {}),
    "nextvit": ("nextvit_small", {}),
    "nfnet": ("nf_regnet_b0", {}),
    "pit": ("pit_ti_224", {}),
    "pvt_v2": ("pvt_v2_b0", {}),
    "qwen3_vit": ("qwen3_vit_88m", SHALLOW),
    "rdnet": ("rdnet_tiny", {}),
    "regnet": ("regnety_002", {}),
    "repghost": ("repghostnet_050", {}),
    "repvit": ("repvit_m0_9", {}),
    "res2net": ("res2net50_48w_2s", {}),
    "resnest": ("resnest14d", {}),
    "resnet": ("resnet10t", {}),
    "resnetv2": ("resnetv2_18", {}),
    "rexnet": ("rexnet_100", {}),
    "selecsls": ("selecsls42b", {}),
    "senet": ("legacy_seresnet18", {}),
    "sequencer": ("sequencer2d_s", {}),
    "shvit": ("shvit_s1", {}),
    "sknet": ("skresnet18", {}),
    "starnet": ("starnet_s050", {}),
    "swiftformer": ("swiftformer_xs", {}),
    "swin_transformer": ("swin_tiny_patch4_window7_224", ONE_EACH),
    "swin_transformer_v2": ("swinv2_tiny_window8_256", ONE_EACH),
    "swin_transformer_v2_cr": ("swinv2_cr_tiny_224", ONE_EACH),
    "tiny_vit": ("tiny_vit_5m_224", {}),
    "tnt": ("tnt_s_patch16_224", {"depth": 3}),
    "tresnet": ("tresnet_m", {}),
    "twins": ("twins_pcpvt_small", {}),
    "vgg": ("vgg11", {}),
    "visformer": ("visformer_tiny", {}),
    "vision_transformer": ("vit_tiny_patch16_224", {}),
    "vision_transformer_hybrid": ("vit_tiny_r_s16_p8_224", {}),
    "vision_transformer_relpos": ("vit_relpos_medium_patch16_cls_224", SHALLOW),
    "vision_transformer_sam": ("samvit_base_patch16_224", SHALLOW),
    "vitamin": ("vitamin_small_224", {}),
    "volo": ("volo_d1_224", {}),
    "vovnet": ("ese_vovnet19b_slim_dw", {}),
    "xception": ("legacy_xception", {}),
    "xception_aligned": ("xception41", {}),
    "xcit": ("xcit_nano_12_p16_224", {}),
}

# Families in which a tensor of timm's `forward_intermediates` is no tap, and which.
NOT_TAPPED = {
    "ghostnet": "1 of 5: the stem's convolution before its norm; its activation is tapped",
    "hiera": "3 of 4: inside the network tokens stand in the order of its masks, and timm puts them back into rows. "
    "Pooled to one number a channel they are the same; windows average other neighbours",
    "nfnet": "1 of 5: the last convolution before its activation, which is tapped",
    "repghost": "1 of 5: the stem's convolution before its norm; its activation is tapped",
    "resnetv2": "1 of 5: the stem's convolution before its pooling, which is tapped",
}

# What is not run, and why.
LEFT_OUT = {
    "mobilenetv5": "its one architecture has 300 million parameters",
    "nasnet": "its one architecture has 89 million parameters and cells of a fixed number",
    "pnasnet": "its one architecture has 86 million parameters and cells of a fixed number",
}


@dataclass(frozen=True)
class Report:
    """What was seen of one network.

    Attributes
    ----------
    found : tuple of Layer
    identical : bool
        The output with hooks is bit-identical to that without, and does not change afterwards.
    wrong_shapes : tuple of str
        Layers whose tensor at two images is not of the listed shape.
    intermediates, unmatched : int
        Tensors of timm's `forward_intermediates`, and how many of them equal no tap; 0 and 0 where it is missing.
    """

    found: tuple[Layer, ...]
    identical: bool
    wrong_shapes: tuple[str, ...]
    intermediates: int
    unmatched: int

    @property
    def penultimate(self) -> list[Layer]:
        return [layer for layer in self.found if layer.penultimate]


def backbone_of(name: str, side: int | None = None, **options: Any) -> Backbone:
    """One of timm's architectures with fixed random weights, at 128 pixels where its size is free.

    Loaded as `load("timm/NAME")` does, but for the weights.
    """
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of timm about itself
        module = timm.create_model(name, pretrained=False, **options)
    config = module.pretrained_cfg
    own = config["input_size"][-1]
    side = side or (own if config.get("fixed_input_size") else min(own, SIDE))
    backbone = load(module, preprocessing=Preprocessing((side, side), (0.5,) * 3, (0.5,) * 3))
    return replace(backbone, spec=f"timm/{name}", classifier=classifier_of(module))


def inspect(backbone: Backbone) -> Report:
    """Look at a network's taps on two images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = noise_batch(backbone, 2)
        before = run(backbone.module, batch)
        found = layers(backbone)
        seen: dict[Any, torch.Tensor] = {}
        wanted = {layer.key for layer in found}

        def see(module: str, where: str, call: int, value: Any) -> None:
            tensor = first_tensor(value, 2)
            if (module, where, call) in wanted and tensor is not None:
                seen[module, where, call] = tensor.clone()

        with watch(backbone.module, {key[:2] for key in wanted}, see):
            during = run(backbone.module, batch)
        identical = torch.equal(before, during) and torch.equal(before, run(backbone.module, batch))
        states = _intermediates(backbone.module, batch)
    tensors = [(layer, layer.canonical(seen[layer.key])) for layer in found if layer.key in seen]
    wrong = [layer.name for layer in found if layer.key not in seen]
    wrong += [layer.name for layer, tensor in tensors if tuple(tensor.shape) != (2, *_canonical_shape(layer))]
    places = [_places(layer, tensor) for layer, tensor in tensors]
    unmatched = sum(not any(_same(place, state) for place in places) for state in states)
    return Report(found, identical, tuple(wrong), len(states), unmatched)


def _intermediates(module: torch.nn.Module, batch: torch.Tensor) -> list[torch.Tensor]:
    """timm's own intermediate features as (B, places, C)."""
    if not hasattr(module, "forward_intermediates"):
        return []
    with torch.inference_mode():
        states = module.forward_intermediates(batch, intermediates_only=True)
    return [state.flatten(2).transpose(1, 2) if state.ndim == 4 else state for state in states]


def _canonical_shape(layer: Layer) -> tuple[int, ...]:
    return (*layer.shape[1:], layer.shape[0]) if layer.kind == "map" else layer.shape


def _places(layer: Layer, tensor: torch.Tensor) -> torch.Tensor:
    """A tap as (B, places, C), without class and register tokens."""
    if layer.kind == "tokens":
        return tensor[:, layer.prefix :]
    return tensor.flatten(1, 2) if layer.kind == "map" else tensor.flatten(1)[:, None]


def _same(place: torch.Tensor, state: torch.Tensor) -> bool:
    return place.shape == state.shape and torch.equal(place, state)
