"""Heads as they are kept: small, and saying the same after."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save

from head2toe import FeatureProbe
from head2toe.probes import rounding
from head2toe.probes.heads import LEAST_BYTES, LinearHead, features_within
from head2toe.probes.rounding import MANY_CLASSES, bytes_a_feature, compensated
from head2toe.probes.standardised import Standardised

K, C = 600, 7


@pytest.fixture
def head() -> LinearHead:
    g = torch.Generator().manual_seed(0)
    return LinearHead(
        torch.randperm(200_000, generator=g)[:K].sort().values,
        torch.randn(K, generator=g),
        torch.rand(K, generator=g) + 0.5,
        torch.randn(C, K, generator=g),
        torch.randn(C, generator=g),
    )


def test_rounding_hardly_moves_logits(head: LinearHead) -> None:
    """However unequal features are and however far from zero; and nothing moves at their mean."""
    distant = replace(head, mean=head.mean + 1000)
    unequal = replace(head, coef=head.coef * torch.logspace(-4, 2, K)[torch.randperm(K)])
    for one in (head, distant, unequal):
        x = one.mean + one.scale * torch.randn(50, K, generator=torch.Generator().manual_seed(1))
        exact, rounded = one.logits(x), one.rounded().logits(x)
        assert (rounded - exact).std() < 0.01 * exact.std()
        torch.testing.assert_close(one.rounded().logits(one.mean[None])[0], one.intercept, rtol=0, atol=1e-3)


def test_a_rounded_head_is_stored_small_and_comes_back_the_same(head: LinearHead) -> None:
    for one, dtype in ((head, torch.float32), (head.rounded(), torch.int8)):
        stored = one.tensors()
        assert stored["coef"].dtype == dtype
        assert_equal(LinearHead.of(stored), one)
    assert_equal(head.rounded().rounded(), head.rounded())


def test_constant_features_and_silent_classes_survive_rounding(head: LinearHead) -> None:
    scale, coef = head.scale.clone(), head.coef.clone()
    scale[3], coef[2] = torch.inf, 0.0
    rounded = replace(head, scale=scale, coef=coef).rounded()
    assert rounded.tensors()["coef"].dtype == torch.int8
    assert torch.isfinite(rounded.logits(torch.randn(5, K))).all()
    assert not rounded.coef[:, 3].any() and not rounded.coef[2].any()
    assert_equal(LinearHead.of(rounded.tensors()), rounded)


@pytest.mark.parametrize("classes", [MANY_CLASSES - 1, MANY_CLASSES, MANY_CLASSES + 1, 102])
def test_many_classes_take_three_bits_a_coefficient(classes: int) -> None:
    g = torch.Generator().manual_seed(2)
    coef = torch.randn(classes, K, generator=g)
    coef[:, 5] = 0
    ones = torch.ones(K)
    rounded = LinearHead(torch.arange(K), ones, ones, coef, torch.zeros(classes)).rounded()
    stored = rounded.tensors()
    assert stored["coef"].nbytes == bytes_a_feature(classes) * K
    assert (stored["coef"].dtype == torch.uint8) == (classes >= MANY_CLASSES)
    assert_equal(LinearHead.of(stored), rounded)


def test_heads_of_earlier_versions_are_read_and_kept() -> None:
    """Schemas 2 and 3 had a mean and a step for each feature."""
    whole = torch.randint(-127, 128, (MANY_CLASSES, K), generator=torch.Generator().manual_seed(3), dtype=torch.int8)
    ones = torch.ones(K, dtype=torch.bfloat16)
    stored = {"indices": torch.arange(K, dtype=torch.int32), "mean": ones, "scale": ones, "coef": whole, "step": ones}
    nibbles = (whole[::2] % 16).to(torch.int16) | (whole[1::2] % 16).to(torch.int16) << 4
    four_bits = torch.where(whole % 16 > 7, whole % 16 - 16, whole % 16)
    for coef, says in ((whole, whole), (nibbles.to(torch.uint8), four_bits)):
        read = LinearHead.of({**stored, "coef": coef, "intercept": torch.zeros(MANY_CLASSES)})
        assert torch.equal(read.coef, says.float())
        assert_equal(LinearHead.of(read.tensors()), read)


def test_a_head_says_the_same_in_other_units(head: LinearHead) -> None:
    """And a rounded one gets its sizes back: coefficients are near what they were."""
    g = torch.Generator().manual_seed(5)
    mean, scale = torch.randn(K, generator=g), torch.rand(K, generator=g) + 0.5
    x = torch.randn(50, K, generator=g)
    torch.testing.assert_close(head.in_units(mean, scale).logits(x), head.logits(x), rtol=0, atol=1e-3)
    again = head.rounded().in_units(head.mean, head.scale)
    torch.testing.assert_close(again.logits(x), head.rounded().logits(x), rtol=0, atol=1e-3)
    assert float((again.coef - head.coef).abs().max()) < float(head.coef.abs().max()) / 100


def test_features_make_good_what_others_lost_by_rounding() -> None:
    """On the rows of the fit and, features being correlated, on new ones of their kind."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(20, 400)) * rng.uniform(0.1, 3, 400)
    X, new = ((rng.normal(size=(n, 20)) @ loadings + rng.normal(size=(n, 400))).astype(np.float32) for n in (300, 100))
    X[:, 7] = 3.0
    rows = Standardised(X, np.ones(300))
    indices = np.sort(rng.choice(400, 350, replace=False))
    coef = torch.from_numpy(rng.normal(size=(40, 350)).astype(np.float32) / 10)
    head = LinearHead(
        torch.from_numpy(indices),
        torch.from_numpy(rows.mean[indices]),
        torch.from_numpy(rows.scale[indices]),
        coef,
        torch.zeros(40),
    )
    for kept in (torch.from_numpy(part[:, indices]) for part in (X, new)):
        exact, near, made_good = (h.logits(kept) for h in (head, head.rounded(), head.rounded(rows)))
        assert (made_good - exact).std() < (near - exact).std() / 2
    assert_equal(head.rounded(rows).rounded(), head.rounded(rows))


def test_units_are_numbers_of_bfloat16() -> None:
    numbers = torch.logspace(-37, 38, 2001).tolist()
    assert [rounding._shortened(one) for one in numbers] == torch.tensor(numbers).bfloat16().double().tolist()


def test_a_feature_that_is_nearly_silent_pays_no_debts() -> None:
    """In the training rows a huge coefficient of it would make good what others lost, and ruin new rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 200)).astype(np.float32)
    X[:, 150:] = 0
    X[np.arange(50), np.arange(150, 200)] = 1e-4
    rows = Standardised(X, blocks=((0, 200),))
    coef, scale = torch.from_numpy(rng.normal(size=(40, 200)).astype(np.float32)), torch.from_numpy(rows.scale)
    unit, whole = compensated(coef, scale, 7, rows, np.arange(200))
    assert float((whole * (scale / unit)).abs().max()) < 2 * float(coef.abs().max())


def assert_equal(a: LinearHead, b: LinearHead) -> None:
    assert all(torch.equal(getattr(a, part.name), getattr(b, part.name)) for part in fields(LinearHead))


@pytest.mark.parametrize("classes", [2, 10, 102])
def test_as_many_features_as_fit(classes: int) -> None:
    size = 3 * LEAST_BYTES
    count = features_within(size, classes)
    assert 0.98 * size < _bytes(count, classes) <= size
    assert features_within(0, classes) == features_within(LEAST_BYTES, classes) > 0
    assert features_within(0, 10**5) == 1


def _bytes(count: int, classes: int) -> int:
    """Of the file."""
    coef = torch.randn(classes, count, generator=torch.Generator().manual_seed(4))
    head = LinearHead(torch.arange(count), torch.ones(count), torch.ones(count), coef, torch.zeros(classes))
    return len(save(head.rounded().tensors()))


@pytest.mark.parametrize(("d", "classes", "place"), [(2, 40, "ring"), (1, 31, "row")])
def test_few_features_tell_many_near_classes_apart_after_the_fit(d: int, classes: int, place: str) -> None:
    """Steps of a seventh or a 127th of the largest coefficient would make neighbours one."""
    angle = 2 * np.pi * np.arange(classes) / classes
    centres = np.stack([np.cos(angle), np.sin(angle)], axis=1) if place == "ring" else np.arange(classes)[:, None]
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(classes), 8)
    spread = 0.01 if place == "ring" else 0.1
    X, new = (centres[y] + spread * rng.normal(size=(len(y), d)) for _ in range(2))
    probe = FeatureProbe(layer_weights="equal", cv=2, fractions=(1.0,), heads=("discriminant",)).fit(X, y)
    assert probe.score(new, y) > probe.cv_accuracy_ - 0.03


def test_a_head_of_features_whose_unit_no_float32_holds_stays_as_it_is() -> None:
    """Its coefficients would have become zero."""
    coef = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 3000)).astype(np.float32))
    scale = torch.full((3000,), 1e36)
    one = LinearHead(torch.arange(3000), torch.zeros(3000), scale, coef, torch.zeros(3))
    assert one.rounded() is one
    coef[:, 2000:] *= 1e-9  # that says nothing beside the others
    other = replace(one, scale=torch.ones(3000), coef=coef).rounded()
    assert other.coef.abs().max() == 127
    scale[:2000] = 1.0
    few = replace(one, scale=scale, coef=coef).rounded()
    assert not few.coef[:, 2000:].any() and few.coef[:, :2000].abs().max() == 127
