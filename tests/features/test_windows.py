"""Windows of maps that are longer than wide: the width decides, as in the official code."""

from __future__ import annotations

import pytest
from tapped import tapped

from head2toe.features.pooling import operation
from head2toe.features.pooling_rules import operations


@pytest.mark.parametrize(
    ("shape", "text", "size"),
    [((4, 9, 3), "avg:3", 12), ((4, 3, 9), "mean", 4), ((4, 9, 4), "avg:4", 8), ((1, 5, 5), "avg:2", 4)],
)
def test_a_window_as_wide_as_the_map_runs_down_it(shape: tuple[int, int, int], text: str, size: int) -> None:
    assert operations(tapped("map", shape), 8) == (text,)
    assert operation(text).size(shape) == size
