"""Modules as their owners make them: what a pass leaves behind, compiled forwards, timm's options, tensors on meta."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from head2toe.backbones import Preprocessing, load
from head2toe.backbones.running import run
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import ParameterError
from head2toe.features import layers

declare_missing_operators()
import timm  # noqa: E402

PREPROCESSING = Preprocessing((16, 16), (0.5,) * 3, (0.5,) * 3)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.act, self.last = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)

    def features(self, images: Tensor) -> Tensor:
        return self.act(self.stem(images)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.features(images))


class Counting(Net):
    """Counts its calls and keeps what it made first."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.kept: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.kept is None:
            self.kept = torch.ones(4) * 2
        return self.last(self.features(images) * self.kept)


class NormsByTheBatch(Net):
    """Puts its norm back into training mode, which writes to running statistics without counting it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def features(self, images: Tensor) -> Tensor:
        self.norm.train()
        return self.norm(super().features(images))


class Decorated(Net):
    @torch.compile(backend="eager")
    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.features(images))


def patched() -> Net:
    network = Net()
    network.forward = torch.compile(network.forward, backend="eager")
    return network


def test_a_trial_of_another_size_changes_nothing_and_what_it_made_can_be_trained() -> None:
    network = Counting()
    first, again = (load(network, preprocessing=PREPROCESSING, image_size=24) for _ in range(2))
    assert float(network.calls) == 0 and first.weights_sha256 == again.weights_sha256
    network.requires_grad_(True)
    network(torch.rand(2, 3, 16, 16)).sum().backward()


def test_statistics_that_are_written_uncounted_are_put_back() -> None:
    network = NormsByTheBatch().eval()
    before = copy.deepcopy(network.state_dict())
    run(network, torch.rand(4, 3, 16, 16))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("make", [Decorated, patched])
def test_a_forward_that_is_compiled_hides_no_layer(make: Any) -> None:
    network, images = make().eval(), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        made = network(images)  # compiled without a hook
    held = dict(vars(network))
    backbone = load(network, preprocessing=PREPROCESSING)
    assert [layer.name for layer in layers(backbone)] == [
        layer.name for layer in layers(load(Net(), preprocessing=PREPROCESSING))
    ]
    assert vars(network) == held and list(vars(network)) == list(held)
    torch.testing.assert_close(run(network, images), made)


def doubled(forward: Any) -> Any:
    @functools.wraps(forward)
    def wrapper(*images: Any) -> Any:
        return 2 * forward(*images)

    return wrapper


class DecoratedTwice(Net):
    @doubled
    @torch.compile(backend="eager")
    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.features(images))


def patched_twice() -> Net:
    network = patched()
    network.forward = doubled(network.forward)
    return network


class Wrapper(nn.Module):
    """Has a part of the name of its inner network's, and that one's compiled forward."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = Net(), nn.Linear(4, 2)
        self.forward = torch.compile(self.inner.forward, backend="eager")


@pytest.mark.parametrize("make", [DecoratedTwice, patched_twice, Wrapper])
def test_what_stands_around_a_compiled_forward_runs_too(make: Any) -> None:
    network, images = make().eval(), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        made = network(images)
    torch.testing.assert_close(run(network, images), made)


def test_a_buffer_that_nobody_wrote_to_is_left_alone() -> None:
    network = Net()
    network.register_buffer("unknown", torch.tensor(float("nan")).expand(4))  # cannot be written to in place
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(run(network.eval(), images), network(images).detach())


@pytest.mark.parametrize("make", [Decorated, patched])
def test_a_copy_of_a_network_with_a_compiled_forward_runs_its_own_weights(make: Any) -> None:
    network = make().eval()
    twin = copy.deepcopy(network)
    nn.init.zeros_(twin.last.weight)
    nn.init.ones_(twin.last.bias)
    assert torch.equal(run(twin, torch.rand(2, 3, 16, 16)), torch.ones(2, 2))


def test_a_module_on_meta_is_told_that_it_has_no_numbers() -> None:
    with pytest.raises(ParameterError, match=r"for it has none: load_state_dict\(weights, assign=True\)"):
        load(Net().to("meta"), preprocessing=PREPROCESSING)


def test_a_module_of_timm_takes_the_grey_images_it_was_made_for() -> None:
    taken = load(timm.create_model("test_resnet", in_chans=1)).preprocessing
    colour = load(timm.create_model("test_resnet")).preprocessing
    assert isinstance(taken, Preprocessing) and isinstance(colour, Preprocessing)
    assert taken.size == colour.size and len(taken.mean) == len(taken.std) == 1
    assert taken.mean[0] == pytest.approx(sum(colour.mean) / 3) and taken.std[0] == pytest.approx(sum(colour.std) / 3)
    four = timm.create_model("test_resnet", in_chans=4)
    assert layers(load(four, preprocessing=lambda _: torch.rand(4, 64, 64)))


def test_a_transformer_of_timm_takes_the_size_it_was_made_for() -> None:
    backbone = load(timm.create_model("test_vit", img_size=(48, 80)))
    assert isinstance(backbone.preprocessing, Preprocessing) and backbone.preprocessing.size == (48, 80)
    assert any(layer.grid == (3, 5) for layer in layers(backbone))
