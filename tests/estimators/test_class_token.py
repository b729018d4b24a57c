"""`cls_token`: what the grids of a transformer hold of its class token."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny import PREPROCESSING, QUICK, SIDE, pictures

from cli.conftest import write_folder
from head2toe import AllLayerFeatures, Head2ToeClassifier
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.cli import main
from head2toe.errors import ParameterError

LAYER = "blocks.1"
CHANNELS, TOKENS = 24, 17  # a class token and 4 x 4 patches


@pytest.fixture(scope="module")
def vit():
    declare_missing_operators()
    import timm

    torch.manual_seed(0)
    options = {"img_size": SIDE, "patch_size": 8, "embed_dim": CHANNELS, "depth": 2, "num_heads": 2, "num_classes": 3}
    return timm.models.vision_transformer.VisionTransformer(**options).eval()


def rows_of(vit, images, size, option):
    """Rows of one layer alone, (n, d), and its tokens (n, 17, 24)."""
    pooled = AllLayerFeatures(
        vit,
        preprocessing=PREPROCESSING,
        layers=LAYER,
        target_sizes=(size,),
        cls_token=option,
        cache=False,
        dtype="float32",
    )
    rows = pooled.fit_transform(images)
    kept = []
    handle = vit.blocks[1].register_forward_hook(lambda _, __, out: kept.append(out.detach()))
    with torch.no_grad():
        vit(pooled._networks.parts[0].preprocessing.batch(torch.from_numpy(images)))
    handle.remove()
    view = pooled.plan_.columns(str(size))
    return rows[:, view], kept[0].numpy()


@pytest.mark.parametrize("size", [CHANNELS, 4 * CHANNELS])
def test_alone_is_the_class_token_and_nothing_else(vit, size):
    rows, tokens = rows_of(vit, pictures(6)[0], size, "alone")
    np.testing.assert_allclose(rows, tokens[:, 0], rtol=0, atol=1e-5)


def test_beside_is_the_class_token_and_the_pooled_rest(vit):
    rows, tokens = rows_of(vit, pictures(6)[0], 4 * CHANNELS, "beside")
    rest = tokens[:, 1:].reshape(6, 4, 4, CHANNELS).mean(axis=2)  # 16 patches, four at a time
    np.testing.assert_allclose(rows[:, :CHANNELS], tokens[:, 0], rtol=0, atol=1e-5)
    got = rows[:, CHANNELS:].reshape(6, 4, CHANNELS)
    np.testing.assert_allclose(got, rest, rtol=0, atol=1e-5)


def test_with_is_the_paper_s(vit):
    images = pictures(6)[0]
    rows, tokens = rows_of(vit, images, CHANNELS, "with")
    np.testing.assert_allclose(rows, tokens.mean(axis=1), rtol=0, atol=1e-5)


def test_a_saved_probe_keeps_it(vit, tmp_path):
    images, labels = pictures()
    options = {**QUICK, "target_sizes": (CHANNELS,), "statistics": (), "preprocessing": PREPROCESSING}
    probe = Head2ToeClassifier(vit, cls_token="alone", **options).fit(images, labels)
    assert {block.operation for block in probe.plan_.blocks if "blocks" in block.layer} == {"cls"}
    again = Head2ToeClassifier.load(probe.save(tmp_path / "probe"), backbone=vit)
    assert again.cls_token == "alone"
    np.testing.assert_array_equal(again.predict_proba(images), probe.predict_proba(images))


@pytest.mark.parametrize("option", ["without", None, ["with"]])
def test_another_word_is_refused(vit, option):
    with pytest.raises(ParameterError, match=r"cls_token is .*: use one of with, alone, beside"):
        AllLayerFeatures(vit, preprocessing=PREPROCESSING, cls_token=option).fit()


def test_the_command_line_has_it(tmp_path, capsys):
    import timm

    network = timm.create_model("test_vit", num_classes=10)
    config = {"input_size": [3, 160, 160], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear"}
    config |= {"crop_pct": 1.0, "classifier": "head", "first_conv": "patch_embed.proj", "num_classes": 10}
    whole = {"architecture": "test_vit", "num_classes": 10, "num_features": 64, "pretrained_cfg": config}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()},
              tmp_path / "model.safetensors")  # fmt: skip
    of_grids = ["--target-size", "6400", "--statistics", "none", "--json"]
    spec, alone = f"timm/local-dir:{tmp_path}", ["--cls-token", "alone"]
    assert main(["layers", spec, *alone, *of_grids]) == 0
    found = json.loads(capsys.readouterr().out)
    tokens = [layer for layer in found["layers"] if layer["kind"] == "tokens"]
    assert len(tokens) > 2 and all(layer["pooled"]["6400"] == layer["shape"][1] for layer in tokens)
    data = write_folder(tmp_path / "pictures", n=3)
    assert main(["extract", str(data), "--backbone", spec, "--out", str(tmp_path / "rows"), *alone, *of_grids]) == 0
    assert json.loads(capsys.readouterr().out)["features"] == found["features"]["6400"]
