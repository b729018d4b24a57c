"""Convolutions that may be a classifier: each place by itself, and all channels of it."""

from __future__ import annotations

import pytest
from torch import nn

from head2toe.features.candidates import is_pointwise


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Conv2d(8, 5, 1), True),
        (nn.Conv2d(8, 8, 1, groups=8), False),
        (nn.Conv2d(8, 5, 3), False),
        (nn.Conv2d(8, 5, 1, stride=2), False),
        (nn.Conv2d(8, 5, 1, padding=1), False),
        (nn.Linear(8, 5), False),
    ],
)
def test_a_classifier_looks_at_one_place(module: nn.Module, expected: bool) -> None:
    assert is_pointwise(module) == expected
