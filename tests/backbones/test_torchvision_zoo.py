"""torchvision's models with random weights in files; the weights' own transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from head2toe.backbones import load
from head2toe.backbones.running import run
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.data import as_images
from head2toe.errors import HubUnreachableError, UnknownBackboneError, WeightsMismatchError
from head2toe.features import Plan, extract, layers
from head2toe.features.hooks import watch
from head2toe.features.noise import noise_batch

declare_missing_operators()
from torchvision import models  # noqa: E402

# Name -> width of what goes into the classifier.
MODELS = {"mobilenet_v3_small": 1024, "squeezenet1_1": 512, "shufflenet_v2_x0_5": 1024, "mnasnet0_5": 1280}
MORE = {
    "resnet18": 512,
    "regnet_y_400mf": 440,
    "efficientnet_b0": 1280,
    "densenet121": 1024,
    "swin_t": 768,
    "convnext_tiny": 768,
    "googlenet": 1024,
    "inception_v3": 2048,
    "maxvit_t": 512,
    "alexnet": 4096,
    "vit_b_32": 768,
}


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """Write a model's random weights once."""
    folder = tmp_path_factory.mktemp("weights")

    def write(name):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            torch.manual_seed(0)
            options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            save_file(models.get_model(name, weights=None, **options).state_dict(), path)
        return path

    return write


def check_model(name, width, path, size=None):
    backbone = load(f"torchvision/{name}", weights=path, image_size=size)
    found = layers(backbone)
    (penultimate,) = (layer for layer in found if layer.penultimate)
    assert penultimate.shape[0] == width
    assert len(found) >= 9
    batch = noise_batch(backbone, 2)
    before = run(backbone.module, batch)
    with watch(backbone.module, {layer.key[:2] for layer in found}, lambda *_: None):
        assert torch.equal(run(backbone.module, batch), before)
    plan = Plan.build(found, (256,))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    rows = extract(backbone, as_images(pixels), plan, dtype="float32", progress=False).rows
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("name", MODELS)
def test_models(random_weights, name):
    check_model(name, MODELS[name], random_weights(name), 96)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_more_models(random_weights, name):
    check_model(name, MORE[name], random_weights(name))


@pytest.mark.parametrize("spec", ["squeezenet1_1", "resnet50@IMAGENET1K_V2", "vit_b_16@IMAGENET1K_SWAG_E2E_V1"])
def test_preprocessing_is_the_weights_own(spec, monkeypatch):
    from head2toe.backbones import torchvision_zoo

    model, _, chosen = spec.partition("@")
    entry = models.get_model_weights(model)[chosen or "DEFAULT"]
    monkeypatch.setattr(torchvision_zoo, "_pretrained", lambda *_: torch.nn.Identity())
    backbone = load(f"torchvision/{spec}", resize="crop")
    assert backbone.revision == entry.name
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((500, 400), Image.Resampling.BICUBIC)
    ours = backbone.preprocessing.batch([backbone.preprocessing.image(picture)])[0]
    torch.testing.assert_close(ours, entry.transforms()(picture), atol=1e-5, rtol=1e-5)
    assert load(f"torchvision/{spec}").preprocessing.size == backbone.preprocessing.size


def test_weights_in_torch_hubs_cache_need_no_network(random_weights, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("head2toe.backbones.torchvision_zoo.opens", lambda _: False)
    with pytest.raises(HubUnreachableError, match="embedded"):
        load("torchvision/squeezenet1_1")
    entry = models.get_model_weights("squeezenet1_1")["DEFAULT"]
    state = load_file(random_weights("squeezenet1_1"))
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / entry.url.rpartition("/")[2])
    # torch.hub checks the hash only of what it downloads.
    backbone = load("torchvision/squeezenet1_1")
    assert (
        backbone.weights_sha256
        == load("torchvision/squeezenet1_1", weights=random_weights("squeezenet1_1")).weights_sha256
    )
    torch.save(state, tmp_path / "state.pth")
    assert load("torchvision/squeezenet1_1", weights=tmp_path / "state.pth").weights_sha256 == backbone.weights_sha256
    torch.save({"model": state}, tmp_path / "wrapped.pth")
    with pytest.raises(WeightsMismatchError, match="state_dict"):
        load("torchvision/squeezenet1_1", weights=tmp_path / "wrapped.pth")


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("torchvision/resnot50", "resnet50"),
        ("torchvision/resnet50@V9", "IMAGENET1K_V2"),
        ("torchvision/fasterrcnn_resnet50_fpn", "no classification model"),
    ],
)
def test_wrong_names_show_the_right_ones(spec, hint):
    with pytest.raises(UnknownBackboneError, match=hint):
        load(spec)
