"""Figures: names that leave room for the axes, and spreads that are seen."""

from __future__ import annotations

import pytest

from head2toe.benchmark.experiments import find, style

LONG = "photographs/of/remote_sensing_scene_classification"


def test_long_names_of_tasks_are_cut_in_the_middle_alike_in_both_columns():
    rows = style.short_names([{"task": LONG, "selected_on": "mnist", "accuracy": 50.0, "backbone": LONG}])
    assert rows == [{"task": "photograph…sification", "selected_on": "mnist", "accuracy": 50.0, "backbone": LONG}]


def test_names_that_would_be_the_same_stay_whole():
    rows = [{"task": f"a task of many words, {i}, and more words"} for i in range(2)]
    assert style.short_names(rows) == rows


@pytest.mark.parametrize("shots", [(2,), (2, 5)])
def test_the_spread_of_a_single_number_of_shots_is_drawn(shots):
    rows = [
        {"task": "a", "method": "linear", "shots": k, "draw": draw, "accuracy": 50.0 + 10 * draw}
        for k in shots
        for draw in range(2)
    ]
    drawn = find("shots").draw(rows).axes[0].collections
    heights = [path.get_extents().height for one in drawn for path in one.get_paths()]
    assert max(heights) == pytest.approx(2 * 50**0.5)  # one deviation to each side


@pytest.mark.parametrize(("affinities", "lines"), [((40.0, 40.0), 1), ((40.0, 40.0 + 1e-12), 1), ((40.0, 20.0), 2)])
def test_no_line_is_fitted_over_a_single_place(affinities, lines):
    rows = [
        {"task": f"task {i}", "affinity": affinity, "gain": 10.0 * i, "image_size": 64}
        for i, affinity in enumerate(affinities)
    ]
    assert len(find("affinity").draw(rows).axes[0].lines) == lines  # one is that of no gain
