"""Charts: nothing lies outside the picture or upon its neighbour, and a whisker is one standard error to each side."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from head2toe.report.charts import WIDTH, accuracy_chart, kept_chart
from head2toe.report.html import kilobytes


def columns(svg: str) -> list[tuple[float, float]]:
    """Left and right edge of each layer's column."""
    found = re.findall(r'<rect class="all" x="([-\d.]+)"[^>]* width="([-\d.]+)"', svg)
    return [(float(x), float(x) + float(width)) for x, width in found]


@pytest.mark.parametrize("count", [1, 3, 40])
def test_columns_stand_side_by_side_within_the_chart(count: int) -> None:
    edges = columns(kept_chart([{"layer": f"blocks.{i}", "kept": 1, "total": 2} for i in range(count)]))
    assert len(edges) == count
    assert all(right <= left for (_, right), (left, _) in pairwise(edges))
    assert edges[0][0] >= 56 and edges[-1][1] <= WIDTH - 10  # between the numbers and the margin


def test_a_network_of_which_nothing_was_pooled_has_a_chart_all_the_same() -> None:
    assert "0 of 0 features kept (none)" in kept_chart([{"layer": "fc", "kept": 0, "total": 0}])
    assert "0 layers" in kept_chart([])


@pytest.mark.parametrize(("accuracy", "error"), [(0.5, 0.1), (0.02, 0.05), (0.97, 0.05)])
def test_a_whisker_is_one_standard_error_to_each_side_and_ends_with_the_scale(accuracy: float, error: float) -> None:
    svg = accuracy_chart([{"method": "a", "accuracy": accuracy, "standard_error": error}])
    ticks = {int(share): float(x) for x, share in re.findall(r'class="tick" x="([\d.]+)"[^>]*>(\d+)<', svg)}
    (ends,) = re.findall(r'class="whisker" d="M([-\d.]+) [\d.]+H([-\d.]+)M', svg)
    shares = [(float(end) - ticks[0]) / (ticks[100] - ticks[0]) for end in ends]
    assert shares == pytest.approx([max(accuracy - error, 0), min(accuracy + error, 1)], abs=1e-3)


def test_kilobytes_are_of_a_thousand_bytes_however_few() -> None:
    assert [kilobytes(x) for x in (5049, 9949, 10_000, 99_949_499)] == ["5.0", "9.9", "10", "99,949"]
