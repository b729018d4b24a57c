"""The same rows on CUDA and MPS, where there is one; what is decided about them, and autocast, on any machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from head2toe.data import as_images, as_inputs
from head2toe.errors import ParameterError
from head2toe.features import Plan, extract, layers
from head2toe.features import dtype as formats
from head2toe.features.device import find_device
from head2toe.features.dtype import prepare
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch
from head2toe.features.prepared import Precision, Prepared

PRESENT = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
ON_DEVICE = [
    pytest.param(name, marks=pytest.mark.skipif(not here, reason=f"no {name} device on this machine"))
    for name, here in PRESENT.items()
]


def pixels(n=7):
    return as_images(np.random.default_rng(0).integers(0, 256, (n, 40, 50, 3), dtype=np.uint8))


def plan_of(backbone):
    return Plan.build(layers(backbone), (16, 64), statistics=("mean", "std", "max", "centre"))


@pytest.mark.parametrize("device", ON_DEVICE)
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_rows_are_those_of_the_cpu(timm_backbone, device, name):
    backbone = timm_backbone(name)
    plan = plan_of(backbone)
    options = {"dtype": "float32", "batch_size": 3, "progress": False}
    here, there = (extract(backbone, pixels(), plan, device=where, **options) for where in ("cpu", device))
    np.testing.assert_allclose(there.rows, here.rows, rtol=1e-2, atol=1e-2 * np.abs(here.rows).mean())
    auto = extract(backbone, pixels(), plan, device=device, progress=False)
    assert auto.dtype in ("bfloat16", "float16") and device in auto.reason
    assert np.isfinite(auto.rows).all()
    assert np.abs(auto.rows - here.rows).mean() < 0.05 * np.abs(here.rows).mean()
    assert next(backbone.module.parameters()).device.type == "cpu"


@pytest.mark.parametrize("device", ON_DEVICE)
def test_rows_of_texts_are_those_of_the_cpu(device, tmp_path):
    pytest.importorskip("transformers")
    from benchmarks.zoo.hf_sequences import save_text

    from head2toe.backbones import load

    backbone = load(save_text("bert", tmp_path / "bert"))
    texts = as_inputs(["the cat sat", "rain fell all night long", "a dog"], "texts")
    options = {"dtype": "float32", "progress": False}
    here, there = (extract(backbone, texts, plan_of(backbone), device=where, **options) for where in ("cpu", device))
    np.testing.assert_allclose(there.rows, here.rows, rtol=1e-2, atol=1e-2)


def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch):
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr("torch.cuda.is_available", lambda found=cuda: found)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda found=mps: found)
        assert find_device("auto").type == expected


@pytest.mark.parametrize("device", [name for name, here in PRESENT.items() if not here])
def test_a_device_that_is_not_here_is_refused(device):
    with pytest.raises(ParameterError, match=f"device '{device}' is not usable here"):
        find_device(device)


def test_the_number_format_goes_by_capability(monkeypatch):
    def chosen(device, dtype="auto"):
        found = formats._for_accelerator(torch.device(device), dtype)
        return found.dtype, found.autocast

    for supported, expected in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda found=supported, **_: found)
        assert chosen("cuda") == (expected, True)
    assert chosen("mps") == ("float16", True)
    assert chosen("cuda", "float32") == ("float32", False)
    assert chosen("cuda", "float16") == ("float16", True)


def test_under_autocast_weights_stay_and_rows_are_float32(timm_backbone):
    """What runs on an accelerator, on the CPU's autocast."""
    backbone = timm_backbone("test_vit")
    plan, batch = plan_of(backbone), noise_batch(backbone, 3)
    cast = Prepared(backbone.module, torch.device("cpu"), Precision("bfloat16", autocast=True, reason=""))
    assert cast.batch(batch).dtype == torch.float32
    rows = PooledNetwork(cast.module, plan, context=cast.context).rows(cast.batch(batch)).clone()
    plain = PooledNetwork(backbone.module, plan).rows(prepare(backbone, "cpu", "float32").batch(batch)).clone()
    assert rows.dtype == torch.float32 and not torch.equal(rows, plain)
    assert (rows - plain).abs().mean() < 0.05 * plain.abs().mean()
    assert next(backbone.module.parameters()).dtype == torch.float32
