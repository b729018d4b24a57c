"""Models of `transformers` passed as modules, which bring no loader that knows them."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="hf/ backbones are an extra")
from benchmarks.zoo.hf_images import MODELS, STAGES, VIT, hf

from head2toe.backbones import Preprocessing, load
from head2toe.features import layers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def listed(module, *size):
    return layers(load(module, preprocessing=Preprocessing(size or (32, 32), (0.5,) * 3, (0.5,) * 3)))


def read(found):
    (layer,) = (layer for layer in found if layer.penultimate)
    return layer.name, layer.kind, layer.shape


BACKBONES = {
    "resnet": lambda: hf.ResNetBackbone(
        hf.ResNetConfig(embedding_size=8, layer_type="basic", **STAGES, out_features=["stem", "stage1", "stage2"])
    ),
    "convnext": lambda: hf.ConvNextBackbone(
        hf.ConvNextConfig(num_stages=2, **STAGES, out_features=["stage1", "stage2"])
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_of_feature_maps_the_last_is_read(name):
    assert read(listed(BACKBONES[name]())) == ("output", "map", (16, 4, 4))


def test_a_projection_is_told_from_the_states():
    with_projection = hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**VIT, projection_dim=24))
    found = listed(with_projection)
    assert read(found) == ("visual_projection:input", "vector", (32,))
    assert found[-1].name == "output" and found[-1].shape == (24,)
    assert read(listed(MODELS["clip"]().vision_model)) == ("output", "vector", (32,))


@pytest.mark.parametrize("hidden", [False, True])
def test_attention_weights_beside_the_states_change_nothing(hidden):
    more = {"output_attentions": True, "output_hidden_states": hidden, "attn_implementation": "eager"}
    plain, with_weights = (listed(hf.ViTModel(hf.ViTConfig(**VIT, **options))) for options in ({}, more))
    assert [(layer.name, layer.shape) for layer in with_weights] == [(layer.name, layer.shape) for layer in plain]


@pytest.mark.skipif(not hasattr(hf, "MLCDVisionModel"), reason="a newer model")
def test_projections_inside_an_attention_are_not_missed(caplog):
    found = listed(hf.MLCDVisionModel(hf.MLCDVisionConfig(**VIT)))
    assert any("encoder.layers.1" in layer.name for layer in found) and "second axis" not in caplog.text


def test_registers_at_a_size_of_no_whole_patches():
    config = hf.Dinov2WithRegistersConfig(**{**VIT, "image_size": 224, "patch_size": 14})
    found = {layer.name: layer for layer in listed(hf.Dinov2WithRegistersModel(config), 240, 320)}
    block = found["encoder.layer.0"]
    assert (block.shape[0], block.prefix, block.grid) == (17 * 22 + 5, 5, (17, 22))
    assert (found["embeddings.patch_embeddings"].prefix, found["embeddings.patch_embeddings"].grid) == (0, (17, 22))
