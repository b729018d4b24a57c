"""The limit of a head: a hundred heads take no more room than one fine-tuned network."""

from __future__ import annotations

import pytest
import torch

from head2toe import backbones
from head2toe.baselines import FineTuned
from head2toe.benchmark.costs import stored_bytes
from head2toe.estimators.head_size import HEAD_SIZE, most_features
from head2toe.probes.heads import LinearHead


@pytest.mark.parametrize("classes", [2, 10, 102])
def test_a_fine_tuned_network_takes_a_hundred_times_the_bytes_of_a_head_at_its_limit(classes: int) -> None:
    count = most_features(HEAD_SIZE, backbones.load("embedded").body_bytes, classes)
    assert count is not None
    coef = torch.randn(classes, count, generator=torch.Generator().manual_seed(0))
    head = LinearHead(torch.arange(count), torch.ones(count), torch.ones(count), coef, torch.zeros(classes)).rounded()
    network = FineTuned("embedded").untrained(classes).state_dict()
    assert 100 * stored_bytes(head.tensors()) <= stored_bytes(network)


def test_the_body_is_all_but_the_classifier() -> None:
    backbone = backbones.load("embedded")
    assert backbone.classifier is not None
    sizes = {name: tensor.nbytes for name, tensor in backbone.module.state_dict().items()}
    classifier = sum(size for name, size in sizes.items() if name.startswith(f"{backbone.classifier}."))
    assert backbone.body_bytes == sum(sizes.values()) - classifier < sum(sizes.values())


def test_without_a_named_classifier_the_body_is_the_whole_network() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    preprocessing = backbones.Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3)
    assert backbones.load(network, preprocessing=preprocessing).body_bytes == 4 * (4 * 3 * 9 + 4)
