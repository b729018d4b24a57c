"""A network that others use too: other threads, its owner's training loop, another estimator."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny import PREPROCESSING, QUICK, pictures, tiny_network

from head2toe import AllLayerFeatures, Head2ToeClassifier
from head2toe.errors import WeightsMismatchError

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
