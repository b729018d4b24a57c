from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from estimators.tiny import PREPROCESSING, pictures, tiny_network
from head2toe import backbones, features
from head2toe.baselines import HeadOnBackbone, Pixels, low_rank, tune
from head2toe.baselines.low_rank import updates
from head2toe.baselines.training import Schedule, train
from head2toe.baselines.tuning import logits_of
from head2toe.data import as_images
from head2toe.errors import NoLayerError
from head2toe.probes import LinearHead


@pytest.fixture(scope="module")
def backbone():
    network = tiny_network(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 0.5)  # timm begins with some at zero, which let no gradient through
    return backbones.load(network, preprocessing=PREPROCESSING)


@pytest.fixture(scope="module")
def plan(backbone):
    return features.Plan.build(features.layers(backbone), (16,), statistics=features.STATISTICS)


def head(plan, count=60, classes=3, deviations=0):
    """The last of its features are deviations."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randperm(plan.d, generator=generator)[:count].split([count - deviations, deviations])
    indices = torch.cat([part.sort().values for part in drawn])
    numbers = torch.randn(count, generator=generator)
    return LinearHead(indices, numbers, numbers.abs() + 0.5, torch.randn(classes, count, generator=generator),
                      torch.randn(classes, generator=generator),
                      torch.randn(deviations, generator=generator))  # fmt: skip


def pixels(n=6):
    return Pixels.of(as_images(pictures(n)[0]), PREPROCESSING)


@pytest.mark.parametrize("deviations", [0, 25])
def test_before_training_it_says_what_the_head_says_of_the_rows(backbone, plan, deviations):
    images, given_head = as_images(pictures(6)[0]), head(plan, deviations=deviations)
    rows = features.extract(backbone, images, plan, dtype="float32", progress=False).rows
    expected = given_head.logits(torch.from_numpy(rows)[:, given_head.indices])
    network = HeadOnBackbone(backbone.module, plan, given_head)
    given = pixels()
    torch.testing.assert_close(logits_of(network, given, given.x), expected, atol=1e-3, rtol=1e-3)
    network.train()  # normalisation keeps the statistics that the head was fitted with
    with torch.no_grad():
        torch.testing.assert_close(network(given.batch(given.x)), expected, atol=1e-3, rtol=1e-3)


def test_gradients_reach_every_weight_below_the_last_kept_layer(backbone, plan):
    network = HeadOnBackbone(backbone.module, plan, head(plan, count=plan.d // 2)).train()
    given = pixels()
    network(given.batch(given.x)).square().mean().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    assert all(not p.requires_grad for p in backbone.module.parameters())  # the backbone itself stays frozen


def test_a_tuned_network_can_be_copied(backbone, plan):
    network, given = HeadOnBackbone(backbone.module, plan, head(plan)), pixels(4)
    before = logits_of(network, given, given.x)
    network.train()(given.batch(given.x)).sum().backward()  # nothing of the pass may stay in it
    torch.testing.assert_close(logits_of(copy.deepcopy(network), given, given.x), before)


def test_the_first_gradient_is_that_of_finite_differences(backbone, plan):
    network = HeadOnBackbone(backbone.module, plan, head(plan)).double().eval()
    given = pixels(2)
    batch = given.batch(given.x).double()
    weight = next(p for name, p in network.named_parameters() if "conv" in name and p.ndim == 4)
    network(batch)[:, 0].sum().backward()
    place, step = (0,) * 4, 1e-6
    with torch.no_grad():
        weight[place] += step
        above = network(batch)[:, 0].sum()
        weight[place] -= 2 * step
        below = network(batch)[:, 0].sum()
    assert weight.grad[place].item() == pytest.approx(((above - below) / (2 * step)).item(), rel=1e-3, abs=1e-6)


def test_tuning_holds_images_out_and_ends_with_all(backbone):
    images, labels = pictures(30)
    given = Pixels.of(as_images(images), PREPROCESSING)
    y = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    asked, told = [], []

    def start(rows):
        asked.append(None if rows is None else rows.tolist())
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))

    split = (np.arange(20), np.arange(20, 30))
    schedule = Schedule(40, 0.0, 8, 0)
    tuned = tune(start, given, y, split, schedule, (1e-9, 0.003), lambda done, total: told.append((done, total)))
    assert asked == [split[0].tolist(), split[0].tolist(), None]
    assert told == [(done, 120) for done in range(1, 121)]
    assert tuned.learning_rate == 0.003 and tuned.accuracy == max(row["accuracy"] for row in tuned.table) > 0.6
    assert (logits_of(tuned.network, given, given.x).argmax(1) == y).double().mean() > 0.9


def test_a_diverged_run_is_no_candidate(backbone):
    given = pixels(12)
    y = torch.arange(12) % 2

    def start(rows):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))

    tuned = tune(start, given, y, (np.arange(8), np.arange(8, 12)), Schedule(5, 0.0, 4, 0), (1e38, 1e-4))
    assert tuned.learning_rate == 1e-4 and tuned.table[0]["accuracy"] == 0


def test_low_rank_updates_start_from_the_backbone(backbone):
    from dataclasses import replace

    pytest.importorskip("peft")
    network = low_rank(replace(backbone, classifier="fc"), 3, rank=2).eval()
    given = pixels(3)
    batch = given.batch(given.x)
    with torch.no_grad():
        assert network(batch).abs().max() == 0  # the new head is zero
        expected = backbone.module.forward_features(batch)
        torch.testing.assert_close(
            network.network.base_model.model.forward_features(batch), expected, atol=1e-5, rtol=1e-5
        )
    kept = updates(network)
    assert all("lora" in name or "fc" in name for name in kept)
    assert sum(t.numel() for t in kept.values()) < sum(p.numel() for p in backbone.module.parameters())


def test_low_rank_updates_and_the_backbone_are_the_network_that_was_trained(backbone):
    from dataclasses import replace

    pytest.importorskip("peft")
    given, own = pixels(8), replace(backbone, classifier="fc")
    schedule = Schedule(5, 0.01, 4, 0, optimiser="adam")
    trained = train(low_rank(own, 2, rank=2), given.x, torch.arange(8) % 2, given.batch, schedule, lambda step: None)
    again = low_rank(own, 2, rank=2)
    missing = again.load_state_dict(updates(trained), strict=False)
    assert not missing.unexpected_keys
    batch = given.batch(given.x)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(batch), trained(batch))


def test_under_autocast_the_head_still_says_nearly_the_same(backbone, plan):
    """On a GPU products are made in bfloat16; statistics of its outputs must not be."""
    network, given = HeadOnBackbone(backbone.module, plan, head(plan)).eval(), pixels()
    with torch.no_grad():
        expected = network(given.batch(given.x))
        with torch.autocast("cpu", torch.bfloat16):
            found = network(given.batch(given.x))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.15 * expected.abs().max().item(), rtol=0)


class Moody(torch.nn.Module):
    """Takes a way of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (
            torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.ReLU()) for _ in range(2)
        )
        self.fc, self.both = torch.nn.Linear(3, 2), True

    def forward(self, x):
        x = self.first(x)
        x = self.second(x) if self.both else x
        return self.fc(x.mean((2, 3)))


def test_a_layer_that_does_not_run_is_told():
    own = backbones.load(Moody(), preprocessing=PREPROCESSING)
    layers = features.Plan.build(features.layers(own), (16,))
    network, given = HeadOnBackbone(own.module, layers, head(layers, count=layers.d)).eval(), pixels(2)
    network(given.batch(given.x))
    network.backbone.both = False
    with pytest.raises(NoLayerError, match="did not run"):
        network(given.batch(given.x))


class ByWeights(torch.nn.Module):
    """A transformer's block, and a layer that is used through its weights."""

    def __init__(self):
        super().__init__()
        self.patches, self.attention = torch.nn.Conv2d(3, 8, 8, 8), torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused, self.mlp, self.fc = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        tokens = self.mlp(torch.nn.functional.linear(tokens, self.unused.weight))
        return self.fc(tokens.mean(1))


def test_every_low_rank_update_has_a_gradient(backbone):
    from dataclasses import replace

    pytest.importorskip("peft")
    torch.manual_seed(0)
    own = replace(backbone, module=ByWeights().requires_grad_(False), classifier="fc")
    network, given = low_rank(own, 3, rank=2), pixels(4)
    with torch.no_grad():
        for part in updates(network).values():  # B and the head are zero at first, and let no gradient pass
            part.normal_()
    network(given.batch(given.x)).square().sum().backward()
    silent = [name for name, part in network.named_parameters() if part.requires_grad and not part.grad.any()]
    assert not silent
    kept = updates(network)
    assert any("attention" in name for name in kept) and not any("unused" in name for name in kept)
