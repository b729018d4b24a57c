"""Another input size: position embeddings are interpolated, and what cannot be is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from head2toe.backbones import Preprocessing, load
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import ParameterError
from head2toe.features import layers

declare_missing_operators()
import timm  # noqa: E402


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    def write(name):
        path = tmp_path_factory.mktemp("weights") / f"{name}.safetensors"
        torch.manual_seed(0)
        save_file(timm.create_model(name).state_dict(), path)
        return path

    return write


@pytest.mark.filterwarnings("ignore:torch.searchsorted")
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_vit4", "test_maxvit"])
def test_tokens_and_maps_grow_with_the_images(weights, name):
    path = weights(name)
    small, large = (layers(load(f"timm/{name}", weights=path, image_size=size)) for size in (64, (128, 192)))
    assert [layer.name for layer in small] == [layer.name for layer in large]
    grown = [b.shape != a.shape for a, b in zip(small, large, strict=True) if b.kind != "vector"]
    assert all(grown) and len(grown) > 3
    assert small[-1].shape == large[-1].shape == (1000,)


def test_position_embeddings_are_interpolated_and_the_own_size_changes_nothing(weights):
    path = weights("test_vit")
    own = load("timm/test_vit", weights=path)
    same = load("timm/test_vit", weights=path, image_size=own.preprocessing.size[0])
    assert same.weights_sha256 == own.weights_sha256
    large = load("timm/test_vit", weights=path, image_size=(256, 192)).module.get_parameter("pos_embed")
    small = own.module.get_parameter("pos_embed")
    assert large.shape[1] > small.shape[1]
    assert abs(float(large[:, 1:].mean() - small[:, 1:].mean())) < 0.1 * float(small.std())


def test_a_module_of_ones_own_keeps_its_size():
    torch.manual_seed(0)
    module = timm.create_model("test_vit").eval()
    before = module.get_parameter("pos_embed").clone()
    own = Preprocessing((160, 160), (0.5,) * 3, (0.5,) * 3)
    other = load(module, preprocessing=own, image_size=96)
    assert other.module.get_parameter("pos_embed").shape[1] < before.shape[1]
    assert torch.equal(module.get_parameter("pos_embed"), before)
    assert load(module, preprocessing=own).weights_sha256 != other.weights_sha256


@pytest.mark.parametrize("size", [0, -3, 1.5, (32,), "64", True])
def test_what_is_no_size_is_refused(weights, size):
    with pytest.raises(ParameterError, match="image_size"):
        load("embedded", image_size=size)


def test_networks_of_a_fixed_size_refuse():
    fixed = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    own = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3)
    assert load(fixed, preprocessing=own, image_size=32).preprocessing.size == (32, 32)
    with pytest.raises(ParameterError, match="takes no images of 40 x 40"):
        load(fixed, preprocessing=own, image_size=40)
    with pytest.raises(ParameterError, match="resize in it"):
        load(fixed, preprocessing=lambda image: torch.zeros(3, 32, 32), image_size=40)
