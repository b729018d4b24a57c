"""Features: where the cache lies, how exact a format is, and what is written down of a network's answers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from head2toe.backbones.running import run
from head2toe.features import batch as batches
from head2toe.features.batch import choose_batch_size, is_out_of_memory
from head2toe.features.behaviour import _noise, answers, other_answer
from head2toe.features.cache import Cache
from head2toe.features.candidates import candidates
from head2toe.features.joint import join
from head2toe.features.layer import Layer
from head2toe.features.network import PooledNetwork
from head2toe.features.plan import Plan
from head2toe.features.prepared import Precision, Prepared
from head2toe.features.taps import _tell_of_padding, layers


def test_a_cache_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache("~/rows").folder == tmp_path / "rows"


@pytest.mark.parametrize(("dtype", "rounded"), [("float32", False), ("bfloat16", True)])
def test_float32_on_a_gpu_is_no_shorter_format(dtype, rounded, monkeypatch):
    """Convolutions would be computed in TF32 there."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    prepared = Prepared(nn.Identity(), torch.device("cuda"), Precision(dtype, autocast=False, reason=""))
    with prepared.context():
        assert torch.backends.cudnn.allow_tf32 == rounded


def test_answers_are_of_each_image_where_there_is_a_row_for_each(own):
    torch.manual_seed(0)

    class Whole(nn.Module):
        def forward(self, x):
            return x.mean((0, 2, 3))

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows, self.whole = nn.Identity(), Whole()

        def forward(self, x):
            return self.rows(x).mean((2, 3)) + self.whole(x)

    backbone = own(Both())
    written = answers(backbone)
    assert written is not None
    expected = [[float(image.mean()), float(image.std(correction=0))] for image in _noise(backbone).double()]
    assert written["moments"]["rows:0"] == [pytest.approx(pair) for pair in expected]
    assert len(written["moments"]["whole:0"]) == 1


def test_a_module_that_does_not_run_any_more_is_another_answer(own):
    def network(*more):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *more)

    written = json.loads(json.dumps(answers(own(network(nn.Identity())))))
    assert other_answer(own(network()), written) == "3:0"


def test_a_batch_takes_no_more_than_a_quarter_of_the_free_memory(small, monkeypatch):
    """A batch's largest tensors (here the stem's, four times the picture's) and its rows; one image always runs."""
    prepared = Prepared(small.module, torch.device("cpu"), Precision("float32", autocast=False, reason=""))
    image, columns = torch.zeros(1, 3, 32, 32), 1000
    largest = 4 * 8 * 16 * 16
    chosen = []
    for free in np.geomspace(1e3, 1e9, 40):
        monkeypatch.setattr(batches, "_free", lambda _, free=free: int(free))
        chosen.append(choose_batch_size("auto", prepared, image, columns))
        assert chosen[-1] == 1 or chosen[-1] * (largest + 4 * columns) <= free / 4
    assert chosen == sorted(chosen) and (chosen[0], chosen[-1]) == (1, 16) and len(set(chosen)) > 4


def test_only_a_lack_of_memory_is_one():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes"))
    assert not is_out_of_memory(RuntimeError("shape '[2, 3]' is invalid for input of size 5"))


def test_a_single_image_for_which_memory_lacks_is_not_tried_as_two(own):
    tried = []

    class Full(nn.Module):
        def forward(self, x):
            tried.append(len(x))
            if len(tried) > seen:
                raise RuntimeError("can't allocate memory")
            return x.mean((2, 3))

    seen = 10**6
    backbone = own(nn.Sequential(Full(), nn.Linear(3, 2)))
    network = PooledNetwork(backbone.module, Plan.build(layers(backbone), [8]))
    seen, tried = 0, []
    with pytest.raises(RuntimeError, match="can't allocate"):
        network.rows(torch.zeros(1, 3, 32, 32))
    assert tried == [1]


@pytest.mark.parametrize("column", [-1, "d"])
def test_columns_that_a_plan_does_not_have_are_refused(small, column):
    plan = Plan.build(layers(small), [8])
    with pytest.raises(IndexError, match=f"columns run from 0 to {plan.d - 1}"):
        plan.restrict([0, plan.d if column == "d" else column])
    _, places = plan.restrict([0, plan.d - 1])
    assert len(places) == 2


def test_a_plan_alone_has_no_view_under_a_prefix(small):
    plan = Plan.build(layers(small), [8, 64])
    assert join([plan]).views == plan.views
    assert join([plan, plan]).views.keys() == plan.views.keys() | {"0/8", "0/64", "1/8", "1/64"}


def test_what_runs_in_bfloat16_is_pooled_in_float32(own):
    """The mean of many numbers of eight bits has more than eight."""
    torch.manual_seed(0)
    backbone = own(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)))
    plan = Plan.build([layer for layer in layers(backbone) if layer.name == "1"], [8])
    half, batch = backbone.module.bfloat16(), torch.randn(4, 3, 32, 32).bfloat16()
    rows = PooledNetwork(half, plan).rows(batch)
    with torch.no_grad():
        expected = half[1](half[0](batch)).float().mean((2, 3))  # type: ignore[index,operator]
    torch.testing.assert_close(rows[:, plan.columns("8")], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("first", "last", "told"), [(3, 1, True), (1, 3, False), (3, 3, False)])
def test_the_last_layer_may_be_a_classifier_where_it_is_pointwise(first, last, told):
    network = nn.Sequential(nn.Conv2d(3, 4, first), nn.ReLU(), nn.Conv2d(4, 2, last), nn.AdaptiveAvgPool2d(1))
    assert [key for key, kind in candidates(network, None).items() if kind == "linear"] == [("2", "input")] * told


def test_only_sequences_that_keep_their_length_are_padded(caplog):
    backbone = cast("Any", SimpleNamespace(spec="one"))
    grows, kept = (Layer(name, name, "output", 0, "sequence", (24, 8)) for name in ("grows", "kept"))
    vector = Layer("vector", "vector", "output", 0, "vector", (8,))
    longer = {grows.key: (17, 8), kept.key: (24, 8), vector.key: (8,)}
    _tell_of_padding(backbone, [grows, vector], longer)
    assert not caplog.records
    _tell_of_padding(backbone, [vector, grows, kept], longer)
    assert "one: 1 layers from kept on" in caplog.text


def test_the_mode_of_every_part_is_put_back_after_a_run():
    network = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    network[1].eval()
    assert torch.equal(run(network, torch.ones(4)), torch.ones(4))
    assert [part.training for part in network.modules()] == [True, True, False]
