"""A module of one's own: what is taken as it is, what is unwrapped, and what is refused with a way out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from head2toe.backbones import Preprocessing, load
from head2toe.errors import ParameterError
from head2toe.features import layers

PREPROCESSING = Preprocessing((16, 16), (0.5,) * 3, (0.5,) * 3)
EXAMPLE = torch.zeros(2, 3, 16, 16)


class EqualToAll(nn.ReLU):  # noqa: PLW1641 - that is what is wrong with it
    def __eq__(self, other: object) -> bool:
        return True


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()


@pytest.mark.parametrize(
    "wrap", [torch.compile, nn.DataParallel, lambda module: torch.compile(nn.DataParallel(module))]
)
def test_of_a_wrapper_the_module_inside_is_taken(wrap: Callable[[nn.Module], nn.Module]) -> None:
    plain, inside = (load(module, preprocessing=PREPROCESSING) for module in (network(), wrap(network())))
    assert inside.to_dict() == plain.to_dict()
    assert layers(inside) == layers(plain)


@pytest.mark.parametrize(
    ("make", "way_out"),
    [
        (lambda: network().half(), "float16: pass module.float()"),
        (lambda: network().double(), "float64: pass module.float()"),
        (lambda: network().to("meta"), "on meta: pass module.cpu()"),
        (lambda: nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU()), "run it on a batch first"),
        (EqualToAll, "unhashable type: 'EqualToAll'): take away its __eq__"),
        (lambda: nn.Sequential(network(), EqualToAll()), "unhashable type: 'EqualToAll'): take away its __eq__"),
        (lambda: torch.jit.script(network()), "pass the module it was made from"),
        (lambda: torch.jit.trace(network(), EXAMPLE), "pass the module it was made from"),
        (lambda: torch.export.export(network(), (EXAMPLE,)).module(), "pass the module it was made from"),
        (lambda: torch.ao.quantization.quantize_dynamic(network(), {nn.Linear}), "pass it as it was before"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of quantisation and TorchScript, which are on their way out
def test_what_cannot_be_watched_or_run_says_what_to_pass(make: Callable[[], nn.Module], way_out: str) -> None:
    module = make()
    with pytest.raises(ParameterError) as error:
        load(module, preprocessing=PREPROCESSING)
    assert way_out in str(error.value) and "\n" not in str(error.value)


def test_a_table_in_float64_is_no_hindrance() -> None:
    module = network()
    module.register_buffer("table", torch.zeros(3, dtype=torch.float64))
    assert load(module, preprocessing=PREPROCESSING).module is module
