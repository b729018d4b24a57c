"""Figures: names that leave room for the axes, and spreads that are seen."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from head2toe.benchmark.experiments import find, stability, style

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


ODD = ("_under", "a $x_1$ b", "cost$", "bad\udcff", "two\nlines", "plain")


def drawn(name, rows) -> Any:
    return find(name).draw(rows)


def fractions(tasks, **more):
    """Rows of the fraction experiment, two fractions a task and its linear probe."""
    common = {"backbone": "embedded", "accuracy": 50.0, **more}
    return [
        {**common, "task": task, "method": method, "fraction": fraction, "chosen": fraction != 1}
        for task in tasks
        for method, fraction in (("head2toe", 0.1), ("head2toe", 1.0), ("linear", None))
    ]


def looks(lines):
    return {(line.get_color(), line.get_marker()) for line in lines}


def test_forty_tasks_have_lines_and_points_of_their_own():
    names = [f"task {i}" for i in range(40)]
    rows = [{"task": name, "target_size": n, "accuracy": 50.0} for name in names for n in (1, 2)]
    (ax,) = drawn("target-size", rows).axes
    assert len(looks(ax.lines[:40])) == 40
    layers = (("none (linear probe)", False), ("a", True))
    rows = [{"task": name, "layer": at, "chosen": c, "accuracy": 50.0} for name in names for at, c in layers]
    (ax,) = drawn("one-layer", rows).axes
    assert len(looks(ax.lines[:40])) == 40
    rows = [{"task": name, "affinity": float(i), "gain": 1.0, "image_size": 64} for i, name in enumerate(names)]
    points = drawn("affinity", rows).axes[0].collections[:40]
    assert len({(tuple(one.get_facecolor()[0]), one.get_paths()[0].vertices.tobytes()) for one in points}) == 40
    (ax,) = drawn("fraction", fractions(names)).axes
    probes = [line for line in ax.lines if len(set(line.get_ydata())) == 1 and line.get_marker() == "None"]
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in probes[:40]}) == 40


def test_names_of_any_kind_are_in_the_legend_and_drawn_as_they_are():
    with style.style():
        figure = drawn("fraction", style.drawable(fractions(ODD)))
        style.rendered(figure, "fraction")
    texts = figure.axes[0].get_legend().get_texts()
    assert not any(text._preprocess_math(text.get_text())[1] for text in texts)
    names = [text.get_text().lstrip("\u200b") for text in texts]
    assert names[:6] == ["_under", "a $x_1$ b", "cost$", r"bad\xff", r"two\nlines", "plain"]


@pytest.mark.parametrize("name", ["other-task", "shots", "kept-layers", "fraction"])
def test_names_of_any_kind_are_titles_and_ticks(name):
    rows = [
        {"task": a, "selected_on": b, "method": "linear", "shots": 2, "draw": 0, "accuracy": 50.0}
        for a in ODD
        for b in ODD
    ]
    if name == "kept-layers":
        common = {"depth": 0, "kept": 1, "of": 2, "fraction": 1}
        rows = [{**common, "task": a, "layer": b} for a in ODD for b in ODD]
    if name == "fraction":
        rows = fractions(["a"], backbone="$\\frac$")
    with style.style():
        made = style.rendered(find(name).draw(style.drawable(rows)), name)
    assert set(made) == {"svg", "png"}
    ET.fromstring(made["svg"])


def test_characters_that_the_font_lacks_are_told_in_one_line(caplog, recwarn):
    with style.style():
        style.rendered(find("fraction").draw(style.drawable(fractions(["中文", "文a"]))), "fraction")
    assert [str(one.message) for one in recwarn] == []
    (told,) = caplog.messages
    assert told.startswith("fraction: the figure has boxes for 中文, which its font lacks: name one")


def test_other_warnings_are_not_silenced():
    figure: Any = SimpleNamespace(savefig=lambda *_, **__: warnings.warn("something else", stacklevel=2))
    with pytest.warns(UserWarning, match="something else"):
        style.rendered(figure, "any")


@pytest.mark.parametrize("tasks", [2, 24])
def test_the_legends_of_stability_cover_no_curve(tasks):
    rows = [
        {"task": f"task {i}", "selection": s, "draw": d, "fraction": f, "overlap": o, "accuracy": 50.0}
        for i in range(tasks)
        for f in (0.1, 0.3)
        for s, d, o in ((stability.WHOLE, None, None), (stability.AVERAGED, None, None), (stability.ONE_DRAW, 0, 0.5))
    ]
    with style.style():
        figure = drawn("stability", rows)
        figure.draw_without_rendering()
        boxes = [ax.get_window_extent() for ax in figure.axes]
        legends = [ax.get_legend().get_window_extent() for ax in figure.axes]
    assert not [1 for box in boxes for legend in legends if box.overlaps(legend)]
    assert boxes[0].width > 250 and all(box.y0 > 0 and box.x1 < figure.bbox.x1 + 1 for box in legends)
