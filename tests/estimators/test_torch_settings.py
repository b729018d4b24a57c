"""What a program has set in PyTorch around a call changes nothing, and is as it was afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event

import numpy as np
import pytest
import torch
from tiny import QUICK, pictures

from head2toe import AllLayerFeatures, FeatureProbe, Head2ToeClassifier, MultinomialGroupLasso
from head2toe.backbones import Preprocessing
from head2toe.plain_torch import plain_torch


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SETTINGS = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "autocast": lambda: torch.autocast("cpu"),
    "inference": torch.inference_mode,
    "device": lambda: torch.device("meta"),
}


def learned(local_dir, folder):
    """Rows, logits of a probe that was saved and read again and of one of the rows, coefficients of the group lasso."""
    images, labels = pictures()
    options = {name: QUICK[name] for name in ("cache", "dtype", "batch_size")}
    rows = AllLayerFeatures(local_dir, layers="layer[34]*", **options).fit().transform(images)
    probe = Head2ToeClassifier(local_dir, layers="layer[34]*", **QUICK).fit(images, labels)
    probe.save(folder, overwrite=True)
    logits = Head2ToeClassifier.load(folder, cache=False).decision_function(images)
    of_rows = FeatureProbe(cv=2).fit(rows, labels).decision_function(rows)
    return rows, logits, of_rows, MultinomialGroupLasso(0.1).fit(rows, labels).coef_


@pytest.fixture(scope="module")
def expected(local_dir, tmp_path_factory):
    return learned(local_dir, tmp_path_factory.mktemp("plain") / "probe")


@pytest.mark.parametrize("name", SETTINGS)
def test_estimators_do_the_same_in_any_surroundings(name, local_dir, expected, tmp_path):
    with SETTINGS[name]():
        found = learned(local_dir, tmp_path / "probe")
    for mine, plain in zip(found, expected, strict=True):
        assert mine.dtype == plain.dtype
        # But for rounding: how a matrix product adds up depends on where its memory starts.
        np.testing.assert_allclose(mine, plain, rtol=1e-4, atol=1e-4 * np.abs(plain).max())


@plain_torch()
def fail_inside():
    assert torch.ones(1).dtype == torch.float32 and torch.ones(1).device.type == "cpu"
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    raise ValueError("here")


def test_settings_are_put_back_after_an_error():
    with default_dtype(torch.float64), torch.autocast("cpu"), torch.device("meta"), torch.inference_mode():
        with pytest.raises(ValueError, match="here"):
            fail_inside()
        assert torch.get_default_dtype() == torch.float64 and torch.empty(1).is_meta
        assert torch.is_inference_mode_enabled() and torch.is_autocast_enabled("cpu")


def test_a_network_loaded_in_inference_mode_serves_outside_of_it(local_dir):
    images, labels = pictures()
    probe = Head2ToeClassifier(local_dir, **QUICK)
    with torch.inference_mode():
        probe.fit(images, labels)
    assert probe.score(images, labels) > 0.8


def test_threads_may_come_and_go_in_any_order():
    """The default dtype is that of all threads: who leaves first must not put it back for the others."""
    inside, done = Barrier(3), Event()

    def first():
        with plain_torch():
            inside.wait(10)

    def second():
        with plain_torch():
            inside.wait(10)
            assert done.wait(10)
            return torch.ones(1).dtype

    with default_dtype(torch.float64), ThreadPoolExecutor(2) as pool:
        early, late = pool.submit(first), pool.submit(second)
        inside.wait(10)
        early.result(10)
        done.set()
        assert late.result(10) == torch.float32
        assert torch.get_default_dtype() == torch.float64


class Counts(torch.nn.Module):
    def __init__(self, persistent):
        super().__init__()
        self.convolution, self.classifier = torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8, 4)
        self.register_buffer("calls", torch.zeros(1), persistent=persistent)

    def forward(self, x):
        self.calls += 1
        return self.classifier(self.convolution(x).mean((2, 3)))


@pytest.mark.parametrize("persistent", [True, False])
def test_a_network_made_in_inference_mode_may_write_to_its_buffers(persistent):
    images, labels = pictures()
    preprocessing = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3)
    with torch.inference_mode():
        probe = Head2ToeClassifier(Counts(persistent), preprocessing=preprocessing, **QUICK).fit(images, labels)
    assert len(probe.predict(images)) == len(images)
