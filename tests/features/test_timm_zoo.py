"""A matrix over timm's families: taps found, shapes right, blocks as timm has them, nothing changed, nothing kept."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from benchmarks.zoo.timm_families import FAMILIES, LEFT_OUT, NOT_TAPPED, backbone_of, inspect, timm

from head2toe.data import as_images
from head2toe.features import Plan, extract, layers
from head2toe.features.network import PooledNetwork
from head2toe.features.noise import noise_batch

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:timm.*", "ignore::UserWarning:torch.*")

# Of the default suite: timm's own test architectures and a few tiny ones, seconds in all.
FAST = [
    ("test_byobnet", {}),
    ("test_coatnet", {}),
    ("test_convnext", {}),
    ("test_efficientnet", {}),
    ("test_mambaout", {}),
    ("test_nfnet", {}),
    ("test_resnet", {}),
    ("test_vit", {}),
    FAMILIES["eva"],
    FAMILIES["starnet"],
]
MOST_PARAMETERS = 150e6


def check(name, options, not_tapped):
    backbone = backbone_of(name, **options)
    assert sum(parameter.numel() for parameter in backbone.module.parameters()) < MOST_PARAMETERS
    report = inspect(backbone)
    assert report.identical
    assert report.wrong_shapes == ()
    assert len(report.found) >= 10
    assert len({layer.name for layer in report.found}) == len(report.found)
    (penultimate,) = report.penultimate
    assert penultimate.kind == "vector"
    assert penultimate.where == "input" or backbone.classifier is None
    assert bool(report.unmatched) == not_tapped
    rows = extract(
        backbone,
        as_images(np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)),
        Plan.build(report.found, (256,)),
        dtype="float32",
        progress=False,
    ).rows
    assert np.isfinite(rows).all() and (rows[0] != rows[1]).any()


@pytest.mark.parametrize(("name", "options"), FAST)
def test_small_architectures(name, options):
    check(name, options, not_tapped=name == "test_nfnet")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family):
    name, options = FAMILIES[family]
    assert name in timm.list_models(module=family)
    check(name, options, family in NOT_TAPPED)


def test_every_family_of_timm_has_its_row():
    known = {*FAMILIES, *LEFT_OUT}
    assert len(set(timm.list_modules()) & FAMILIES.keys()) >= 60
    if timm.__version__ == "1.0.31":  # the version of the pins; another may have more
        assert known == set(timm.list_modules())


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_twenty_batches_leave_no_tensor_behind(name):
    backbone = backbone_of(name)
    network = PooledNetwork(backbone.module, Plan.build(layers(backbone), (256,)))
    batch = noise_batch(backbone, 2)

    def held():
        gc.collect()
        return sum(thing.nbytes for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor))

    network.rows(batch)
    before = held()
    for _ in range(20):
        network.rows(batch)
    assert held() == before
