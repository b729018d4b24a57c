"""The one loop: rows are the pooled layers, whatever the batch, the columns, the dtype, the interruptions."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from head2toe.backbones.running import run
from head2toe.errors import NotFiniteError, ParameterError, UnreadableImageError
from head2toe.features.extractor import Extractor, extract
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch
from head2toe.features.plan import Plan
from head2toe.features.pooling import operation
from head2toe.features.taps import layers

QUIET = {"dtype": "float32", "batch_size": 4, "device": "cpu", "progress": False}


def _plan(backbone, sizes=(16, 64), cls_token="with"):
    return Plan.build(layers(backbone), sizes, cls_token)


def _by_hand(backbone, plan, batch):
    """The rows from hooks that clone everything, pooled afterwards."""
    kept, handles, counts = {}, [], {}

    def keep(key, value):
        value = value[0] if isinstance(value, tuple) else value
        number = counts[key] = counts.get(key, -1) + 1
        kept[(*key, number)] = value.clone()

    modules = dict(backbone.module.named_modules())
    for module, where in {layer.key[:2] for layer in plan.layers}:
        if where == "input":
            hook = modules[module].register_forward_pre_hook(lambda m, args, k=(module, where): keep(k, args[0]))
        else:
            hook = modules[module].register_forward_hook(lambda m, args, out, k=(module, where): keep(k, out))
        handles.append(hook)
    run(backbone.module, batch)
    for handle in handles:
        handle.remove()
    blocks = []
    for block in plan.blocks:
        layer = plan.by_name[block.layer]
        blocks.append(operation(block.operation).apply(layer.canonical(kept[layer.key]).float().contiguous()))
    return torch.cat(blocks, 1)


@pytest.mark.parametrize("name", ["small", "test_vit", "test_convnext", "test_efficientnet"])
def test_rows_are_the_pooled_layers(request, timm_backbone, name):
    backbone = request.getfixturevalue("small") if name == "small" else timm_backbone(name)
    plan = _plan(backbone, (64, 512), "beside")
    batch = noise_batch(backbone, 3)
    output = run(backbone.module, batch)
    network = PooledNetwork(backbone.module, plan)
    torch.testing.assert_close(network.rows(batch), _by_hand(backbone, plan, batch), rtol=1e-5, atol=1e-6)
    assert torch.equal(output, run(backbone.module, batch))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in backbone.module.modules())


def test_large_outputs_are_pooled_in_pieces(small, monkeypatch):
    plan = _plan(small)
    batch = noise_batch(small, 5).to(torch.bfloat16)
    module = copy.deepcopy(small.module).to(torch.bfloat16)
    whole = PooledNetwork(module, plan).rows(batch).clone()
    monkeypatch.setattr("head2toe.features.network._PIECE", 2 * 8 * 16 * 16)
    torch.testing.assert_close(PooledNetwork(module, plan).rows(batch), whole)


def test_the_last_batch_and_the_batch_size_change_nothing(small, pictures):
    plan = _plan(small)
    rows = [extract(small, pictures(7), plan, **{**QUIET, "batch_size": size}).rows for size in (7, 4, 1)]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows[2], rows[0], rtol=1e-5, atol=1e-6)
    assert rows[0].dtype == np.float32
    assert rows[0].shape == (7, plan.d)
    assert len(np.unique(rows[0], axis=0)) == 7


@pytest.mark.parametrize("name", ["small", "test_vit"])
def test_columns_are_the_same_in_any_order_and_the_network_stops_early(request, timm_backbone, pictures, name):
    backbone = request.getfixturevalue("small") if name == "small" else timm_backbone(name)
    plan = _plan(backbone)
    whole = extract(backbone, pictures(5), plan, **QUIET).rows
    rng = np.random.default_rng(0)
    early = np.concatenate([plan.columns("16")[:40], plan.columns("64")[:40]])
    for columns in (rng.permutation(plan.d)[:50], early):
        part = extract(backbone, pictures(5), plan, columns=columns, **QUIET).rows
        ascending = extract(backbone, pictures(5), plan, columns=np.sort(columns), **QUIET).rows
        np.testing.assert_array_equal(part, ascending[:, np.argsort(np.argsort(columns))])
        # Not bit for bit: sums over few channels run in another order than those over all.
        np.testing.assert_allclose(part, whole[:, columns], rtol=1e-5, atol=1e-7)
    ran = []
    handle = backbone.module.get_submodule(layers(backbone)[-2].module).register_forward_hook(lambda *_: ran.append(1))
    extract(backbone, pictures(5), plan, columns=[0], **QUIET)
    assert not ran
    extract(backbone, pictures(5), plan, **QUIET)
    handle.remove()
    assert ran


def test_bfloat16_is_close(timm_backbone, pictures):
    backbone = timm_backbone("test_resnet")
    plan = _plan(backbone, (64,))
    exact = extract(backbone, pictures(4), plan, **QUIET)
    half = extract(backbone, pictures(4), plan, **{**QUIET, "dtype": "bfloat16"})
    assert (exact.dtype, half.dtype) == ("float32", "bfloat16")
    error = np.linalg.norm(half.rows - exact.rows) / np.linalg.norm(exact.rows)
    assert 0 < error < 0.02
    assert next(backbone.module.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("half", "images"), [(10.0, [2]), (20.0, [2, 8])])
def test_a_format_that_is_far_slower_is_tried_on_few_images_alone(small, monkeypatch, half, images):
    from head2toe.features import speed_trial

    seen = []

    def speeds(runners, batch, seconds):
        seen.append(len(batch))
        return {"float32": 40.0, "bfloat16": half}

    monkeypatch.setattr(speed_trial, "_speeds", speeds)
    assert speed_trial._race(small)[0] == "float32"
    assert seen == images


def test_auto_decides_by_a_trial_and_says_so(small, pictures):
    result = extract(small, pictures(3), _plan(small), device="cpu", progress=False)
    assert result.dtype in ("float32", "bfloat16")
    assert "float32" in result.reason
    assert "images/s" in result.reason or "does not run" in result.reason


def test_what_bfloat16_cannot_run_falls_back(own, pictures):
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.act = nn.ReLU()

        def forward(self, x):
            if x.dtype != torch.float32:
                raise RuntimeError("float32 only")
            return self.act(self.conv(x)).mean((2, 3))

    backbone = own(Picky())
    result = extract(backbone, pictures(2), _plan(backbone), device="cpu", progress=False)
    assert result.dtype == "float32"
    assert "float32 only" in result.reason


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "auto"])
def test_a_network_that_views_its_maps_as_vectors_runs(own, pictures, dtype):
    """`x.view(len(x), -1)` does not take maps with the channels last in memory."""

    class Old(nn.Module):
        def __init__(self, flatten):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.act, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4 * 30 * 30, 5)
            self.flatten = flatten

        def forward(self, x):
            return self.head(self.flatten(self.act(self.conv(x))))

    old, new = own(Old(lambda x: x.view(len(x), -1))), own(Old(lambda x: x.flatten(1)))
    options = {**QUIET, "dtype": dtype}
    found = extract(old, pictures(3), _plan(old), **options)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if found.dtype == "float32" else {"rtol": 0.05, "atol": 0.05}
    expected = extract(new, pictures(3), _plan(new), **{**options, "dtype": found.dtype})
    np.testing.assert_allclose(found.rows, expected.rows, **tolerance)


def test_unreadable_images_are_skipped_and_listed(small, pictures):
    plan = _plan(small)
    whole = extract(small, pictures(9), plan, **QUIET).rows
    result = extract(small, pictures(9, broken=[0, 5, 6, 8]), plan, **QUIET)
    np.testing.assert_array_equal(result.kept, [1, 2, 3, 4, 7])
    np.testing.assert_allclose(result.rows, whole[result.kept], rtol=1e-5, atol=1e-6)
    assert [(item.index, item.name, item.reason) for item in result.skipped[:2]] == [
        (0, "image 0", "picture 0 is broken"),
        (5, "image 5", "picture 5 is broken"),
    ]
    assert len(extract(small, pictures(3, broken=range(3)), plan, **QUIET).rows) == 0


def test_strict_raises(small, pictures):
    with pytest.raises(UnreadableImageError, match="picture 2"):
        extract(small, pictures(9, broken=[2]), _plan(small), strict=True, **QUIET)


def test_nan_names_the_layer(pictures, small):
    broken = copy.deepcopy(small)
    plan = _plan(broken)
    with torch.no_grad():
        broken.module.blocks[1].conv.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(NotFiniteError, match=r"'blocks\.1\.act'"):
        extract(broken, pictures(2), plan, **QUIET)


def test_a_batch_too_large_is_halved(small, pictures, monkeypatch):
    plan = _plan(small)
    expected = extract(small, pictures(11), plan, **QUIET).rows
    forward = PooledNetwork.rows

    def rows(self, batch):
        if len(batch) > 2:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes")
        return forward(self, batch)

    monkeypatch.setattr(PooledNetwork, "rows", rows)
    extractor = Extractor(small, plan, **{**QUIET, "batch_size": 8})
    found = np.concatenate([batch.rows.copy() for batch in extractor.stream(pictures(11))])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert extractor.batch_size == 2


def test_reading_ahead_is_bounded(small, pictures):
    images = pictures(1000)
    stream = Extractor(small, _plan(small), **QUIET).stream(images)
    next(stream)
    assert images.reads <= 4 + 2 * 4
    stream.close()
    assert images.reads <= 4 + 2 * 4 + 1


@pytest.mark.parametrize(
    "option",
    [{"dtype": "float8"}, {"dtype": "float16"}, {"device": "abacus"}, {"batch_size": 0}, {"batch_size": "big"}],
)
def test_options_out_of_range_are_refused(small, pictures, option):
    with pytest.raises(ParameterError):
        extract(small, pictures(2), _plan(small), **{**QUIET, **option})


def test_progress_goes_to_standard_error(small, pictures, capsys):
    extract(small, pictures(3), _plan(small), **{**QUIET, "progress": True})
    shown = capsys.readouterr()
    assert "3/3" in shown.err
    assert shown.out == ""
    extract(small, pictures(3), _plan(small), **QUIET)
    assert capsys.readouterr().err == ""
