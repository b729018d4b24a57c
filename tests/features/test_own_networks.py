"""Networks as people write them: what is told, what is refused, and rows that are those of the network run by hand."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from head2toe.backbones.running import run
from head2toe.backbones.sizes import resized
from head2toe.errors import NotFiniteError, ParameterError, PreprocessingError
from head2toe.features.costs import costs
from head2toe.features.extractor import extract
from head2toe.features.noise import noise_batch
from head2toe.features.plan import Plan
from head2toe.features.taps import layers

QUIET = {"dtype": "float32", "device": "cpu", "progress": False}


class Net(nn.Module):
    """Convolution, activation, pooling, classifier; what comes in between is up to the child."""

    def __init__(self, channels: int = 8, classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.act = nn.Conv2d(3, channels, 3, padding=1), nn.ReLU()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, classes)

    def middle(self, maps: Tensor) -> Tensor:
        return maps

    def pooled(self, x: Tensor) -> Tensor:
        return self.pool(self.middle(self.act(self.conv(x)))).flatten(1)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.pooled(x))


class MergesBatchAndChannels(Net):
    def middle(self, maps: Tensor) -> Tensor:
        b, c, h, w = maps.shape
        groups = maps.view(b * 4, -1, h, w)
        return (groups * groups.mean((2, 3), keepdim=True)).view(b, c, h, w)


class Squeezes(Net):
    def pooled(self, x: Tensor) -> Tensor:
        return self.pool(self.act(self.conv(x))).squeeze()


@pytest.mark.parametrize("network", [MergesBatchAndChannels, Squeezes])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_rows_are_the_network_s_whatever_the_batch(own, pictures, network, batch_size):
    backbone = own(network())
    plan = Plan.build(layers(backbone), (8,))
    rows = extract(backbone, pictures(5), plan, **QUIET, batch_size=batch_size).rows
    images = backbone.preprocessing.batch([backbone.preprocessing.image(pictures(5)[i]) for i in range(5)])
    with torch.no_grad():
        expected = backbone.module.pooled(images)
    found = torch.from_numpy(rows[:, plan.columns("linear")])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class TakesNoneAlone(Net):
    def forward(self, x: Tensor) -> Any:
        return nn.functional.log_softmax(self.fc(self.pool(self.act(self.conv(x))).squeeze()), dim=1)


def test_a_network_that_takes_no_image_alone_is_run_on_two(own, pictures):
    backbone, plain = own(TakesNoneAlone()), own(Net())
    found = layers(backbone)
    assert costs(backbone, found).total == costs(plain, layers(plain)).total
    plan = Plan.build(found, (8,))
    rows = extract(backbone, pictures(3), plan, **QUIET, batch_size="auto").rows
    again = extract(backbone, pictures(3), plan, **QUIET, batch_size=1).rows
    np.testing.assert_allclose(rows, again, rtol=1e-4, atol=1e-5)
    larger = resized(backbone, 48)
    assert costs(larger, layers(larger)).total > costs(backbone, found).total


class NormsTheBatch(Net):
    def middle(self, maps: Tensor) -> Tensor:
        return nn.functional.batch_norm(maps, None, None, training=True)


def test_rows_that_depend_on_the_company_are_told(own, caplog):
    with caplog.at_level(logging.WARNING):
        layers(own(NormsTheBatch()))
    assert "in other company" in caplog.text and "running statistics" in caplog.text


@pytest.mark.parametrize("channels", [32, 16])
def test_a_normed_cube_is_told_by_wider_images(own, channels):
    """Means over places are alike for all channels after instance norm: only the axes that grow tell the places."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, stride=32 // channels),
        nn.InstanceNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 4),
    )
    first = layers(own(network))[0]
    assert first.shape == (channels, channels, channels) and not first.channels_last


@pytest.mark.parametrize("place", ["before pooling", "before its activation", "after pooling"])
def test_a_convolution_may_be_the_classifier(own, pictures, place):
    classifier = nn.Conv2d(8, 4, 1)
    order = {
        "before pooling": [classifier, nn.AdaptiveAvgPool2d(1)],
        "before its activation": [classifier, nn.ReLU(), nn.AdaptiveAvgPool2d(1)],
        "after pooling": [nn.AdaptiveAvgPool2d(1), classifier],
    }[place]
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 1), nn.ReLU())
    backbone = own(nn.Sequential(body, *order, nn.Flatten()))
    found = layers(backbone)
    (penultimate,) = (layer for layer in found if layer.penultimate)
    assert penultimate.name == f"{order.index(classifier) + 1}:input"
    plan = Plan.build(found, (8,))
    rows = extract(backbone, pictures(3), plan, **QUIET).rows[:, plan.columns("linear")]
    images = backbone.preprocessing.batch([backbone.preprocessing.image(pictures(3)[i]) for i in range(3)])
    with torch.no_grad():
        expected = body(images).mean((2, 3))
    torch.testing.assert_close(torch.from_numpy(rows), expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_that_does_not_make_the_output_is_no_classifier(own):
    network = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    (penultimate,) = (layer for layer in layers(own(network)) if layer.penultimate)
    assert penultimate.name == "output"


@dataclass
class Outcome:
    logits: Tensor
    note: str = ""


SHAPES = {
    "one logit": lambda made: made[:, 0],
    "dataclass": Outcome,
    "beside a loss": lambda made: {"loss": made.sum(), "out": made},
    "after None": lambda made: (None, [made]),
    "beside a table": lambda made: {"grid": torch.zeros(5, 2), "cls": made},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_classifier_is_found_behind_whatever_stands_around_its_output(own, shape, caplog):
    class Wrapped(Net):
        def forward(self, x: Tensor) -> Any:
            return SHAPES[shape](super().forward(x))

    network = Wrapped(classes=1 if shape == "one logit" else 4)
    with caplog.at_level(logging.WARNING):
        found = layers(own(network))
    assert [layer.name for layer in found if layer.penultimate] == ["fc:input"] and not caplog.text


class TwoHeads(Net):
    def __init__(self, classes: int, others: int) -> None:
        super().__init__(classes=classes)
        self.other = nn.Linear(8, others)

    def forward(self, x: Tensor) -> Any:
        z = self.pooled(x)
        return self.fc(z), self.other(z.sin())


@pytest.mark.parametrize(("classes", "others"), [(10, 4), (4, 4)])
def test_of_several_heads_the_one_that_makes_the_output_counts(own, classes, others):
    assert [layer.name for layer in layers(own(TwoHeads(classes, others))) if layer.penultimate] == ["fc:input"]


@pytest.mark.parametrize("classes", [1, 2])
def test_few_logits_are_not_confused_with_another_heads(own, classes):
    """Two numbers often have the same order by chance, in all rows of noise."""
    network = TwoHeads(classes, classes)
    for seed in range(20):
        torch.manual_seed(seed)
        network.other.reset_parameters()
        assert [layer.name for layer in layers(own(network)) if layer.penultimate] == ["fc:input"]


@pytest.mark.parametrize("last", [nn.Identity(), nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid(), nn.Tanh()])
def test_two_logits_are_found_behind_what_grows_with_them(own, last):
    class Judge(Net):
        def forward(self, x: Tensor) -> Any:
            return last(super().forward(x))

    network = Judge(classes=2)
    for seed in range(10):
        torch.manual_seed(seed)
        network.fc.reset_parameters()
        assert [layer.name for layer in layers(own(network)) if layer.penultimate] == ["fc:input"]


def test_what_has_no_row_an_image_is_no_layer(own):
    class Tables(Net):
        def __init__(self) -> None:
            super().__init__()
            self.prototypes, self.proj = nn.Parameter(torch.rand(3, 8)), nn.Sequential(nn.Linear(8, 8), nn.ReLU())

        def forward(self, x: Tensor) -> Any:
            return self.pooled(x) @ self.proj(self.prototypes).T

    names = [layer.name for layer in layers(own(Tables()))]
    assert names and not any("proj" in name for name in names)


def test_a_network_that_gives_no_tensor_has_its_linear_probe_on_the_last_layer_and_says_so(own, caplog):
    class Text(Net):
        def forward(self, x: Tensor) -> Any:
            self.pooled(x)
            return "text"

    with caplog.at_level(logging.WARNING):
        found = layers(own(Text()))
    assert [layer.penultimate for layer in found] == [False] * (len(found) - 1) + [True]
    assert f"the linear probe reads {found[-1].name}" in caplog.text
    assert Plan.build(found, (8,)).views["linear"]


def test_images_of_another_size_than_the_noise_are_told(own, pictures):
    from head2toe.backbones import load

    backbone = load(Net(), preprocessing=lambda image: torch.zeros(3, image.height, image.height))
    plan = Plan.build(layers(backbone), (8,), statistics=())
    with pytest.raises(PreprocessingError, match="resize all to one size"):
        extract(backbone, pictures(2), plan, **QUIET)


def test_imaginary_parts_survive_bfloat16(own, pictures):
    class Rotary(Net):
        def __init__(self) -> None:
            super().__init__()
            turns = torch.polar(torch.ones(4), torch.linspace(0.5, 2, 4))
            self.register_buffer("turns", turns)

        def pooled(self, x: Tensor) -> Tensor:
            pairs = torch.view_as_complex(super().pooled(x).float().unflatten(1, (4, 2)).contiguous())
            return torch.view_as_real(pairs * self.turns).flatten(1).to(x.dtype)

    backbone = own(Rotary())
    plan = Plan.build(layers(backbone), (8,))
    exact, half = (
        extract(backbone, pictures(4), plan, **{**QUIET, "dtype": dtype}).rows for dtype in ("float32", "bfloat16")
    )
    assert np.linalg.norm(half - exact) < 0.02 * np.linalg.norm(exact)


class Stubborn(Net):
    def middle(self, maps: Tensor) -> Tensor:
        assert maps.dtype == torch.float32, "float32 alone"
        return maps


def test_what_does_not_run_in_a_format_says_so(own, pictures):
    backbone = own(Stubborn())
    plan = Plan.build(layers(backbone), (8,))
    assert extract(backbone, pictures(2), plan, **{**QUIET, "dtype": "auto"}).dtype == "float32"
    with pytest.raises(ParameterError, match=r"does not run in bfloat16 .*float32 alone.*: use 'float32' or 'auto'"):
        extract(backbone, pictures(2), plan, **{**QUIET, "dtype": "bfloat16"})


def test_a_network_that_keeps_what_it_made_can_be_trained_afterwards(own):
    class Lazy(Net):
        table: Tensor | None = None

        def pooled(self, x: Tensor) -> Tensor:
            if self.table is None:
                self.table = torch.linspace(0, 1, 8)[None]
            return super().pooled(x) * self.table

    network = Lazy()
    backbone = own(network)
    layers(backbone)
    run(network, noise_batch(backbone, 2))
    network.requires_grad_(True)
    network(noise_batch(backbone, 2)).sum().backward()
    assert network.conv.weight.grad is not None


def test_a_class_token_without_a_batch_axis_is_one(own):
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.cls_token = nn.Parameter(torch.randn(1, 8))
            self.patch_embed, self.act, self.fc = nn.Conv2d(3, 8, 8, stride=8), nn.GELU(), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            patches = self.patch_embed(x).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.cls_token.expand(len(x), 1, 8), patches], dim=1)
            return self.fc(self.act(tokens)[:, 0])

    found = {layer.name: layer for layer in layers(own(Tokens()))}
    assert (found["act"].prefix, found["act"].grid) == (1, (4, 4))


@pytest.mark.parametrize("last", [False, True])
def test_a_volume_is_the_map_of_its_slices(own, pictures, last):
    class Volumes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.act, self.fc = nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            maps = self.conv(x[:, None])
            return self.fc(self.act(maps.movedim(1, -1)).mean((1, 2, 3)) if last else self.act(maps).mean((2, 3, 4)))

    backbone = own(Volumes())
    layer = next(layer for layer in layers(backbone) if layer.module == "act")
    rows, columns = backbone.preprocessing.size
    assert layer.shape == (8, 3 * rows, columns)
    images, plan = pictures(3), Plan.build([layer], (8,))
    made = extract(backbone, images, plan, **QUIET).rows
    batch = backbone.preprocessing.batch([backbone.preprocessing.image(images[i]) for i in range(3)])
    volume = run(backbone.module.conv, batch[:, None]).relu()
    np.testing.assert_allclose(made, volume.mean((2, 3, 4)), rtol=1e-4, atol=1e-5)


def test_weights_of_branches_are_no_volume(own):
    class Selects(Net):
        def __init__(self) -> None:
            super().__init__()
            self.choose = nn.Softmax(dim=1)

        def middle(self, maps: Tensor) -> Tensor:
            both = torch.stack([maps, maps.flip(2)], dim=1)
            return (both * self.choose(both.mean((3, 4), keepdim=True))).sum(1)  # (B, 2, C, 1, 1), as in SKNet

    assert "choose" not in {layer.module for layer in layers(own(Selects()))}


def test_weights_that_are_no_numbers_are_told_before_anything_runs(own):
    network = Net()
    with torch.no_grad():
        network.conv.weight[0] = torch.nan
    with pytest.raises(NotFiniteError, match=r"NaN, first in conv\.weight"):
        own(network)


def test_an_infinite_weight_may_be_a_mask(own):
    network = Net()
    network.mask = nn.Parameter(torch.full((3,), -torch.inf))
    assert layers(own(network))


class AddsItsGradient(Net):
    """Of its input: `around` is entered while it is taken."""

    around = staticmethod(torch.enable_grad)

    def forward(self, x: Tensor) -> Any:
        with self.around():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(super().forward(x).sum(), x)
            return super().forward(x + slope)


def test_a_forward_may_turn_gradients_on(own, pictures):
    backbone = own(AddsItsGradient())
    found = layers(backbone)
    plan = Plan.build(found, (8,))
    rows = extract(backbone, pictures(3), plan, **QUIET).rows
    images = backbone.preprocessing.batch([backbone.preprocessing.image(pictures(3)[i]) for i in range(3)])
    expected = backbone.module(images).detach()
    (logits,) = (block for block in plan.blocks if block.layer == "output")
    torch.testing.assert_close(torch.from_numpy(rows[:, logits.start : logits.stop]), expected, rtol=1e-4, atol=1e-5)
    assert costs(backbone, found).total > 0


def test_a_forward_that_takes_gradients_where_there_are_none_is_told_so(own):
    network = AddsItsGradient()
    network.around = nullcontext
    with pytest.raises(PreprocessingError, match=r"takes gradients, .* inside torch\.enable_grad"):
        layers(own(network))
