from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from head2toe import backbones
from head2toe.backbones import Backbone, Preprocessing
from head2toe.backbones.sizes import resized
from head2toe.baselines import FineTuned, finetune, tuning
from head2toe.baselines.augmentation import augmented
from head2toe.baselines.finetune import draw_weights_anew
from head2toe.baselines.training import Schedule, _shuffled, train
from head2toe.data import LabelledImages, as_images
from head2toe.errors import ClassTooSmallError, DataFormatError, MissingLabelError, OneClassError, ParameterError

SIZE, CHANNELS = 12, 6


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, CHANNELS, 3, padding=1),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * CHANNELS, 10),
    )


@pytest.fixture
def backbone(monkeypatch):
    """A small backbone under the name that `load` is asked for; `weights(seed)` gives it other weights."""
    preprocessing = Preprocessing(size=(SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3)
    held = {}

    def weights(seed):
        held["it"] = Backbone("small", network(seed).eval().requires_grad_(False), preprocessing, classifier="5")
        return held["it"]

    def load(spec, image_size=None, **_):
        return held["it"] if image_size is None else resized(held["it"], image_size)

    monkeypatch.setattr(backbones, "load", load)
    weights(10)
    return weights


def left_or_right(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise, brighter in one half."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 150, (n, SIZE, SIZE), dtype=np.uint8)
    right = np.arange(n) % 2 == 0
    images[right, :, SIZE // 2 :] += 60
    images[~right, :, : SIZE // 2] += 60
    return images, np.where(right, "right", "left")


def test_learns_and_speaks_the_callers_labels(backbone):
    model = FineTuned(steps=60, learning_rates=(0.1,), batch_size=16).fit(*left_or_right(80))
    images, labels = left_or_right(60, seed=1)
    assert set(model.predict(images)) == {"left", "right"}
    assert model.score(images, labels) > 0.95
    np.testing.assert_allclose(model.predict_proba(images).sum(1), 1, rtol=1e-5)


def test_same_seed_same_network_and_the_backbone_stays_as_it_was(backbone):
    images, labels = left_or_right(40)
    loaded = backbone(3)
    before = loaded.weights_sha256
    first, second = (FineTuned(steps=5, batch_size=8).fit(images, labels).predict_proba(images) for _ in range(2))
    other = FineTuned(steps=5, batch_size=8, random_state=1).fit(images, labels).predict_proba(images)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert Backbone("small", loaded.module, loaded.preprocessing).weights_sha256 == before


@pytest.mark.parametrize("pretrained", [True, False])
def test_only_training_from_scratch_forgets_the_given_weights(backbone, pretrained):
    images, labels = left_or_right(40)
    answers = []
    for seed in (10, 11):
        backbone(seed)
        model = FineTuned(pretrained=pretrained, steps=3, learning_rates=(0.01,)).fit(images, labels)
        answers.append(model.predict_proba(images))
    assert (answers[0] == answers[1]).all() == (not pretrained)


def test_the_better_learning_rate_is_chosen(backbone):
    model = FineTuned(steps=60, learning_rates=(1e-9, 0.1), batch_size=16).fit(*left_or_right(80))
    slow, good = model.search_table_
    assert slow["loss"] == pytest.approx(np.log(2), abs=1e-4)  # the new head starts at zero
    assert good["accuracy"] == 1  # if the other's is 1 too, the loss decides
    assert good["loss"] < 0.1
    assert model.learning_rate_ == 0.1


def test_a_run_that_diverges_comes_last(backbone, monkeypatch):
    def broken_at_first(network, x, y, batch, schedule, told):
        train(network, x, y, batch, schedule, told)
        if schedule.learning_rate == 0.5:
            nn.init.constant_(network[5].bias, torch.nan)
        return network

    monkeypatch.setattr(tuning, "train", broken_at_first)
    model = FineTuned(steps=2, learning_rates=(0.5, 1e-9)).fit(*left_or_right(40))
    assert model.search_table_[0] == {"learning_rate": 0.5, "accuracy": 0.0, "loss": np.inf}
    assert model.learning_rate_ == 1e-9


def test_where_the_run_on_all_images_diverges_the_next_best_rate_is_chosen(backbone, monkeypatch):
    def broken_at_last(network, x, y, batch, schedule, told):
        train(network, x, y, batch, schedule, told)
        if len(x) == 80 and schedule.learning_rate == 0.1:
            nn.init.constant_(network[5].bias, torch.nan)
        return network

    monkeypatch.setattr(tuning, "train", broken_at_last)
    images, labels = left_or_right(80)
    model = FineTuned(steps=60, learning_rates=(1e-9, 0.1), batch_size=16).fit(images, labels)
    assert model.search_table_[1]["accuracy"] == 1 and model.search_table_[1]["loss"] < model.search_table_[0]["loss"]
    assert model.learning_rate_ == 1e-9
    assert np.isfinite(model.predict_proba(images)).all()
    monkeypatch.setattr(tuning, "train", train)
    whole = FineTuned(steps=60, learning_rates=(1e-9, 0.1), batch_size=16).fit(images, labels)
    assert model.flops_ == whole.flops_ * 4 // 3  # two runs on the split and two on all images, for two and one


@pytest.mark.parametrize("rates", [(0.5,), (0.5, 0.25)])
def test_a_training_that_diverges_with_every_rate_is_refused(backbone, monkeypatch, rates):
    def broken(network, *_):
        nn.init.constant_(network[5].bias, torch.nan)
        return network

    monkeypatch.setattr(tuning, "train", broken)
    with pytest.raises(ParameterError, match=f"diverged with every learning rate, {', '.join(map(str, rates))}: "):
        FineTuned(steps=2, learning_rates=rates).fit(*left_or_right(40))


def test_the_learning_rate_is_judged_on_images_it_was_not_trained_on(backbone, monkeypatch):
    trained, judged = [], []
    logits = tuning.logits_of

    def noted_train(network, x, *rest):
        trained.append({image.numpy().tobytes() for image in x})
        return train(network, x, *rest)

    def noted_logits(network, given, x):
        judged.append({image.numpy().tobytes() for image in x})
        return logits(network, given, x)

    monkeypatch.setattr(tuning, "train", noted_train)
    monkeypatch.setattr(tuning, "logits_of", noted_logits)
    FineTuned(steps=1).fit(*left_or_right(60))
    first, second, final = trained
    assert len(final) == 60
    for part, held_out in zip((first, second), judged, strict=True):
        assert len(held_out) == 12
        assert part.isdisjoint(held_out)
        assert part | held_out == final


def test_the_images_held_out_may_be_given(backbone, monkeypatch):
    parts, tune = [], finetune.tune
    monkeypatch.setattr(finetune, "tune", lambda *args, **options: parts.append(args[3]) or tune(*args, **options))
    split = np.arange(20), np.arange(20, 30)
    FineTuned(steps=1).fit(*left_or_right(30), split=split)
    np.testing.assert_array_equal(np.concatenate(parts[0]), np.arange(30))
    np.testing.assert_array_equal(parts[0][1], split[1])


def test_augmentation_crops_and_mirrors_and_leaves_the_rest():
    ramp = torch.arange(16.0).expand(64, 3, 16, 16).contiguous()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = augmented(ramp)
        torch.manual_seed(0)
        torch.testing.assert_close(augmented(ramp), found)  # all chance comes from torch's generator
    assert found.shape == ramp.shape and found.min() >= 0 and found.max() <= 15
    rising = (found[..., -1] > found[..., 0]).flatten(1)
    assert ((rising.all(1)) | (~rising).all(1)).all() and 15 < int(rising.all(1).sum()) < 49  # half are mirrored
    assert (found.amax((1, 2, 3)) - found.amin((1, 2, 3)) < 15).any()  # a part of the ramp, not all of it
    torch.testing.assert_close(augmented(torch.ones(4, 3, 8, 8)), torch.ones(4, 3, 8, 8))


def test_augmentation_is_asked_for_and_repeats_with_its_seed(backbone):
    options = {"steps": 3, "learning_rates": (0.1,), "batch_size": 8}
    plain, first, second = (
        FineTuned(**options, augment=augment).fit(*left_or_right(24)).network_[5].weight
        for augment in (False, True, True)
    )
    assert torch.equal(first, second) and not torch.equal(first, plain)


def test_statistics_are_kept_where_asked_for(backbone):
    before = network(10)[1].running_mean.clone()
    options = {"steps": 2, "learning_rates": (0.1,)}
    kept = FineTuned(**options, keep_statistics=True).fit(*left_or_right(24)).network_
    moved = FineTuned(**options).fit(*left_or_right(24)).network_
    assert torch.equal(kept[1].running_mean, before) and not torch.equal(moved[1].running_mean, before)
    with pytest.raises(ParameterError, match="no statistics to keep"):
        FineTuned(pretrained=False, keep_statistics=True).fit(*left_or_right(24))


def test_a_class_of_one_image_is_trained_on_where_learning_rates_are_judged(backbone, monkeypatch):
    parts, tune = [], finetune.tune
    monkeypatch.setattr(finetune, "tune", lambda *args, **options: parts.append(args[3]) or tune(*args, **options))
    images, labels = left_or_right(30)
    model = FineTuned(steps=2, learning_rates=(0.1, 0.01), batch_size=8).fit(images, [*labels[:-1], "alone"])
    ((train, held_out),) = parts
    assert len(model.classes_) == 3 and 29 in train
    assert sorted([*train, *held_out]) == list(range(30))


def test_costs_follow_the_formulas(backbone):
    model = FineTuned(steps=4, learning_rates=(0.1, 0.01), batch_size=8, image_size=16).fit(*left_or_right(30))
    forward = 2 * 3 * 9 * CHANNELS * 16 * 16 + 2 * 4 * CHANNELS * 2  # the convolution and the new head
    assert model.flops_ == 3 * (3 * 4 * 8) * forward  # three runs of 4 steps of 8 images
    parameters = 3 * 9 * CHANNELS + CHANNELS + 4 * CHANNELS + (4 * CHANNELS * 2 + 2)
    assert model.stored_bytes_ == 4 * parameters + 8  # the batch norm counts its batches in an int64
    assert model.seconds_ > 0


def test_progress_counts_every_step_of_every_run(backbone):
    seen = []
    FineTuned(steps=3, learning_rates=(0.1, 0.01), progress=lambda done, total, text: seen.append((done, total))).fit(
        *left_or_right(20)
    )
    assert seen == [(done, 9) for done in range(1, 10)]


def test_first_step_is_the_gradient_of_cross_entropy():
    # At zero weights the bias's gradient is 1/c minus the class's share; Nesterov's first step is 1 + momentum of it.
    head = nn.Linear(2, 3)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    y = torch.tensor([0, 0, 1, 2])
    schedule = Schedule(steps=1, learning_rate=0.1, batch_size=4, seed=0)
    train(head, torch.zeros(4, 2), y, lambda rows: rows, schedule, lambda step: None)
    expected = 0.1 * 1.9 * (torch.tensor([0.5, 0.25, 0.25]) - 1 / 3)
    torch.testing.assert_close(head.bias.detach(), expected)


def test_images_lie_in_memory_as_the_network_takes_them():
    """With the channels last where that runs; `x.view(len(x), -1)` of a map does not."""

    class Flat(nn.Module):
        def __init__(self, flatten):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.head, self.flatten = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, 2), flatten

        def forward(self, x):
            seen.append(x.is_contiguous(memory_format=torch.channels_last))
            return self.head(self.flatten(self.conv(x)))

    x, y = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    schedule = Schedule(steps=3, learning_rate=0.1, batch_size=4, seed=0)
    trained, layouts = [], []
    for flatten in (lambda maps: maps.flatten(1), lambda maps: maps.view(len(maps), -1)):
        seen: list[bool] = []
        trained.append(train(Flat(flatten), x, y, lambda rows: rows, schedule, lambda step: None))
        layouts.append(seen[-1])
    assert layouts == [True, False]
    for one, other in zip(*(network.parameters() for network in trained), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_gradient_is_shortened_to_the_norm_asked_for():
    y = torch.tensor([0, 0, 1, 2])
    steps = []
    for largest in (None, 1e-3):
        head = nn.Linear(2, 3)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        schedule = Schedule(steps=1, learning_rate=0.1, batch_size=4, seed=0, largest_gradient=largest)
        train(head, torch.ones(4, 2), y, lambda rows: rows, schedule, lambda step: None)
        steps.append(torch.cat([p.detach().flatten() for p in head.parameters()]))
    free, short = steps
    torch.testing.assert_close(short.norm().item(), 0.1 * 1.9 * 1e-3, rtol=1e-4, atol=0)
    torch.testing.assert_close(short / short.norm(), free / free.norm())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_learns_on_cuda_too(backbone):
    images, labels = left_or_right(80)
    model = FineTuned(steps=60, learning_rates=(1e-9, 0.1), batch_size=16, device="cuda").fit(images, labels)
    assert next(model.network_.parameters()).is_cuda and model.learning_rate_ == 0.1
    assert model.score(images, labels) > 0.95
    np.testing.assert_allclose(model.predict_proba(images).sum(1), 1, rtol=1e-5)


def test_every_epoch_visits_every_image_once():
    batches = list(_shuffled(10, Schedule(steps=12, learning_rate=1, batch_size=5, seed=0)))
    assert all(len(batch) == 5 for batch in batches)
    for epoch in range(6):
        assert sorted(torch.cat(batches[2 * epoch : 2 * epoch + 2]).tolist()) == list(range(10))
    uneven = Counter(torch.cat(list(_shuffled(7, Schedule(steps=7, learning_rate=1, batch_size=3, seed=0)))).tolist())
    assert set(uneven.values()) == {3}


def test_a_parameter_without_initialisation_is_refused():
    class WithTokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Parameter(torch.randn(4))
            self.head = nn.Linear(4, 2)

    with pytest.raises(ParameterError, match="tokens"):
        draw_weights_anew(WithTokens())


@pytest.mark.parametrize(
    ("parameters", "labels", "error"),
    [
        ({}, ["a"] * 6, OneClassError),
        ({}, ["a"] * 5 + ["b"], ClassTooSmallError),
        ({}, ["a", "b"], DataFormatError),
        ({"steps": 0}, ["a", "b"] * 3, ParameterError),
        ({"learning_rates": ()}, ["a", "b"] * 3, ParameterError),
        ({"learning_rates": (0.1, -1)}, ["a", "b"] * 3, ParameterError),
        ({"learning_rates": 0.1}, ["a", "b"] * 3, ParameterError),
        ({"learning_rates": (np.nan,)}, ["a", "b"] * 3, ParameterError),
        ({"steps": 1.5}, ["a", "b"] * 3, ParameterError),
        ({"batch_size": "8"}, ["a", "b"] * 3, ParameterError),
        ({"random_state": -1}, ["a", "b"] * 3, ParameterError),
        ({}, None, MissingLabelError),
        ({}, ["a", None] * 3, MissingLabelError),
        ({}, [0.0, 1.0, np.nan] * 2, MissingLabelError),
        ({}, ["a", 1] * 3, DataFormatError),
        ({"device": "nowhere"}, ["a", "b"] * 3, ParameterError),
    ],
)
def test_mistakes_have_their_own_errors(backbone, parameters, labels, error):
    with pytest.raises(error) as caught:
        FineTuned(**parameters).fit(left_or_right(6)[0], labels)
    assert "\n" not in str(caught.value)


def test_labels_may_come_with_the_images(backbone):
    images, labels = left_or_right(24)
    own = LabelledImages(as_images(images), list(labels), [""] * len(labels))
    options = {"steps": 2, "learning_rates": (0.1,), "batch_size": 8}
    first, second = FineTuned(**options).fit(own), FineTuned(**options).fit(images, labels)
    np.testing.assert_array_equal(first.predict_proba(images), second.predict_proba(images))


def test_without_training_there_is_no_answer_and_without_images_an_empty_one(backbone):
    images, labels = left_or_right(24)
    with pytest.raises(NotFittedError):
        FineTuned().predict(images)
    model = FineTuned(steps=1, learning_rates=(0.1,)).fit(images, labels)
    assert model.predict(images[:0]).shape == (0,) and model.predict_proba(images[:0]).shape == (0, 2)


def test_a_network_of_random_weights_may_have_been_drawn_with_the_same_seed():
    """What is drawn anew is then what was there; it is no weight without an initialisation."""
    torch.manual_seed(0)
    own = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 3))
    before = own[0].weight.detach().clone()
    torch.manual_seed(0)
    draw_weights_anew(own)
    assert not torch.equal(own[0].weight, before)
