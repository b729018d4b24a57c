"""A network that others use too: other threads, its owner's training loop, another estimator."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny import PREPROCESSING, QUICK, pictures, tiny_network

from head2toe import AllLayerFeatures, Head2ToeClassifier
from head2toe.backbones.running import run
from head2toe.errors import WeightsMismatchError
from head2toe.estimators.networks import Networks

OPTIONS = {"preprocessing": PREPROCESSING, "cache": False, "dtype": "float32"}
THREADS, CALLS = 4, 48


def fitted(network: torch.nn.Module) -> Head2ToeClassifier:
    return Head2ToeClassifier(network, **{**QUICK, **OPTIONS}).fit(*pictures())


def test_threads_that_share_an_estimator_or_a_network_do_not_disturb_one_another():
    network = tiny_network()
    one, other = fitted(network), fitted(network)
    rows = AllLayerFeatures(network, **OPTIONS).fit()
    images = pictures(24, seed=1)[0]
    work = [(one.predict_proba, images[:9]), (other.predict_proba, images[9:]), (rows.transform, images[:5])]
    alone = [call(part) for call, part in work]
    with ThreadPoolExecutor(THREADS) as pool:
        found = [pool.submit(*work[i % len(work)]) for i in range(CALLS)]
        for i, answer in enumerate(found):
            np.testing.assert_allclose(answer.result(), alone[i % len(work)], rtol=1e-4, atol=1e-5)


def test_a_network_put_back_into_training_mode_predicts_as_before_and_is_left_so():
    network = torch.nn.Sequential(tiny_network(), torch.nn.BatchNorm1d(10), torch.nn.Dropout(0.5))
    probe, images = fitted(network), pictures(8, seed=1)[0]
    before = probe.predict_proba(images)
    network.train()
    np.testing.assert_array_equal(probe.predict_proba(images), before)
    assert all(part.training for part in network.modules())
    assert network[1].num_batches_tracked == 0


def test_weights_that_were_changed_since_are_refused_until_they_are_put_back():
    network = tiny_network()
    probe, images = fitted(network), pictures(8, seed=1)[0]
    before, weights = probe.predict_proba(images), {name: w.clone() for name, w in network.state_dict().items()}
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(-1)
    for _ in range(2):
        with pytest.raises(WeightsMismatchError, match="not those the probe was made with"):
            probe.predict(images)
    network.load_state_dict(weights)
    np.testing.assert_array_equal(probe.predict_proba(images), before)


class Negative(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x.clamp(max=0)


def test_what_is_written_through_data_is_seen_too():
    network = tiny_network()
    probe, images = fitted(network), pictures(8, seed=1)[0]
    before = probe.predict_proba(images)
    for weight in network.parameters():
        weight.data.mul_(-1)
    with pytest.raises(WeightsMismatchError, match="not those the probe was made with"):
        probe.predict(images)
    for weight in network.parameters():
        weight.data.mul_(-1)
    np.testing.assert_array_equal(probe.predict_proba(images), before)


def test_a_module_that_was_replaced_since_is_refused_here_and_after_loading(tmp_path):
    network = with_activation(torch.nn.ReLU())
    probe, images = fitted(network), pictures(8, seed=1)[0]
    before = probe.save(tmp_path / "probe") and probe.predict_proba(images)
    for changed in (torch.nn.Tanh(), Negative()):
        network[1] = changed
        with pytest.raises(WeightsMismatchError, match="first seen at 1"):
            probe.predict(images)
        again = Head2ToeClassifier.load(tmp_path / "probe", backbone=with_activation(changed), **OPTIONS)
        with pytest.raises(WeightsMismatchError, match="same code"):
            again.predict(images)
    for _ in range(20):  # a new module may get the place in memory of the one that it replaces
        network[1] = torch.nn.LeakyReLU(0.9)
        with pytest.raises(WeightsMismatchError):
            probe.predict(images[:1])
        network[1] = torch.nn.ReLU()
        probe.predict(images[:1])
    np.testing.assert_allclose(probe.predict_proba(images), before, rtol=1e-5)
    again = Head2ToeClassifier.load(tmp_path / "probe", backbone=with_activation(torch.nn.ReLU()), **OPTIONS)
    np.testing.assert_allclose(again.predict_proba(images), before, rtol=1e-5)


class Scaled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.factor, self.act = tiny_network(), 1.0, torch.relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.body(x)) * self.factor


@pytest.mark.parametrize(("name", "value"), [("factor", -3.0), ("act", torch.tanh)])
def test_an_attribute_that_was_changed_since_is_refused_until_it_is_put_back(name, value):
    network = Scaled()
    probe, images = fitted(network), pictures(8, seed=1)[0]
    before, old = probe.predict_proba(images), getattr(network, name)
    network.train()  # its mode is no such attribute
    setattr(network, name, value)
    with pytest.raises(WeightsMismatchError, match="computes something else"):
        probe.predict(images)
    setattr(network, name, old)
    np.testing.assert_allclose(probe.predict_proba(images), before, rtol=1e-5)


class Remembers(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.calls, self.images, self.loss = tiny_network(), 0, 0, float("nan")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls, self.images, self.loss = self.calls + 1, len(x), float("nan")
        return self.body(x)


def test_what_a_pass_remembers_is_no_change():
    """The network would be looked at anew, with passes of its own, at each prediction."""
    network = Remembers()
    probe, images = fitted(network), pictures(8, seed=1)[0]
    probe.predict(images)
    before = network.calls
    probe.predict(images)
    assert network.calls == before + 1


def with_activation(activation: torch.nn.Module) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), activation, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 4)
    )


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_buffer_that_the_network_writes_to_is_left_as_it_was(tmp_path, dtype, in_place):
    class Counts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = with_activation(torch.nn.ReLU())
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if in_place:
                self.calls += 1
            else:
                self.calls = self.calls + 1
            return self.body(x) * self.calls

    options = {**OPTIONS, "dtype": dtype}
    network = Counts()
    probe = Head2ToeClassifier(network, **{**QUICK, **options}).fit(*pictures())
    images = pictures(8, seed=1)[0]
    before = probe.predict_proba(images)
    np.testing.assert_array_equal(probe.predict_proba(images), before)
    assert network.calls == 0
    probe.save(tmp_path / "probe")
    for owned in (network, Counts()):
        again = Head2ToeClassifier.load(tmp_path / "probe", backbone=owned, **options)
        np.testing.assert_allclose(again.predict_proba(images), before, rtol=1e-4, atol=1e-5)


class Counting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = tiny_network()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.body(x)


def test_threads_may_share_a_network_that_writes_to_its_buffers():
    network = Counting()
    probes, images = [fitted(network), fitted(network)], pictures(8, seed=1)[0]
    alone = probes[0].predict_proba(images)
    with ThreadPoolExecutor(THREADS) as pool:
        found = [pool.submit(probes[i % 2].predict_proba, images) for i in range(CALLS)]
        for answer in found:
            np.testing.assert_allclose(answer.result(), alone, rtol=1e-4, atol=1e-5)
    assert network.calls == 0


def test_a_network_that_writes_to_its_buffers_is_checked_once(monkeypatch):
    probe, images = fitted(Counting()), pictures(8, seed=1)[0]
    probe.predict(images)
    monkeypatch.setattr(Networks, "check", lambda *_: pytest.fail("checked again"))
    probe.predict(images)


@pytest.mark.parametrize("persistent", [True, False])
def test_a_cache_that_grows_with_the_input_is_left_to_the_network(persistent):
    class Grows(torch.nn.Module):
        length = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[1] > self.length:
                self.length = x.shape[1]
                self.register_buffer("table", torch.arange(self.length) + 1.0, persistent=persistent)
            return x * self.table[: x.shape[1]]

    network = Grows()
    run(network, torch.ones(1, 4))
    for length in (9, 9, 4):
        torch.testing.assert_close(run(network, torch.ones(1, length)), torch.arange(length)[None] + 1.0)


def test_a_network_compiled_in_place_is_watched_uncompiled_and_left_compiled():
    network = with_activation(torch.nn.ReLU())
    expected = AllLayerFeatures(network, **OPTIONS).fit().transform(pictures(4)[0])
    network.compile(backend=lambda graph, _inputs: pytest.fail("compiled"))
    network[1].compile(backend=lambda graph, _inputs: pytest.fail("compiled"))
    np.testing.assert_array_equal(AllLayerFeatures(network, **OPTIONS).fit().transform(pictures(4)[0]), expected)
    assert network._compiled_call_impl is not None and network[1]._compiled_call_impl is not None
