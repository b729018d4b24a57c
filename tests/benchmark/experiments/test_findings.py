"""What experiments say of rows whose answers are known beforehand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from head2toe.benchmark.experiments import find
from head2toe.benchmark.experiments.affinity import rank_correlation
from head2toe.benchmark.experiments.fraction import LINEAR
from head2toe.benchmark.experiments.one_layer import LINEAR as NO_LAYER

FALLING = {0: (80, 60), 2048: (60, 50), 4096: (40, 20)}


def told(name: str, rows: list[dict[str, Any]]) -> str:
    return " ".join(find(name).findings(rows))


def by_task(column: str, figures: dict[Any, tuple[float, ...]], **more: Any) -> list[dict[str, Any]]:
    """A row a task and value of `column`, with the accuracies of the tasks in order."""
    return [
        {"task": f"task {i}", column: value, "accuracy": accuracy, **more}
        for value, accuracies in figures.items()
        for i, accuracy in enumerate(accuracies)
    ]


def test_offset_tells_a_fall_from_a_rise() -> None:
    text = told("offset", by_task("offset", FALLING))
    assert "70.0 (0), 55.0 (2048), 30.0 (4096)" in text and text.endswith("It falls at every step.")
    text = told("offset", by_task("offset", {**FALLING, 6144: (50, 20)}))
    assert text.endswith("It falls, but rises at offset 6144.")


@pytest.mark.parametrize(
    ("last", "verdict"), [((40, 20), "falls, and never rises"), ((90, 90), "falls, but rises at offset 6144")]
)
def test_offset_tells_what_stays_from_what_falls(last: tuple[int, int], verdict: str) -> None:
    assert told("offset", by_task("offset", {**FALLING, 6144: last})).endswith(f"It {verdict}.")


@pytest.mark.parametrize(("means", "verdict"), [((50, 50), "never changes"), ((50, 60), "rises at offset 2048")])
def test_offset_tells_no_fall_where_there_is_none(means: tuple[int, int], verdict: str) -> None:
    rows = by_task("offset", {0: means[:1], 2048: means[1:]})
    assert told("offset", rows).endswith(f"It {verdict}.")


@pytest.mark.parametrize("name", ["one-layer", "fraction"])
def test_figures_bear_more_tasks_than_there_are_colours(name: str) -> None:
    experiment = find(name)
    rows = []
    for i in range(12):
        common = {
            "task": f"task {i}",
            "cv_accuracy": 50.0,
            "accuracy": 50.0,
            "gain": 1.0,
            "standard_error": 1.0,
            "backbone": "embedded",
            "chosen": False,
        }
        if name == "fraction":
            rows += [
                {**common, "method": "head2toe", "fraction": 0.1, "chosen": True},
                {**common, "method": LINEAR, "fraction": 1.0, "chosen": False},
            ]
        else:
            rows += [{**common, "layer": NO_LAYER, "depth": -1}, {**common, "layer": "a", "depth": 0, "chosen": True}]
    experiment.draw(rows)


def test_a_rank_correlation_shares_ranks_among_ties() -> None:
    assert rank_correlation([1, 2, 3], [1, 2, 3]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [1, 1, 2, 2]) == pytest.approx(0.8944, abs=1e-4)  # scipy.stats.spearmanr
    assert math.isnan(rank_correlation([1, 2, 3], [5, 5, 5]))


def test_an_offset_that_a_task_is_too_small_for_is_in_no_mean() -> None:
    text = told("offset", by_task("offset", {**FALLING, 6144: (99,)}))
    assert "6144" not in text and text.endswith("It falls at every step.")


def test_scorers_are_ranked_at_the_fractions_chosen_and_at_each() -> None:
    rows = [
        {"task": task, "scorer": scorer, "fraction": fraction, "chosen": fraction == chosen, "accuracy": accuracy}
        for task, chosen in (("a", 0.01), ("b", 0.1))
        for scorer, figures in (("group lasso", {0.01: 70, 0.1: 80}), ("random", {0.01: 90, 0.1: 40}))
        for fraction, accuracy in figures.items()
    ]
    text = told("scorers", rows)
    assert "group lasso: 75.0; random: 65.0" in text
    assert "First is group lasso; last is random." in text
    assert "random 90.0 (1 %), group lasso 80.0 (10 %)" in text


def test_fraction_compares_all_features_the_chosen_and_the_probe() -> None:
    curve = {(0.01, True): 60, (0.1, False): 75, (1.0, False): 50}
    rows = [
        {"task": "a", "method": "head2toe", "fraction": fraction, "chosen": chosen, "accuracy": accuracy}
        for (fraction, chosen), accuracy in curve.items()
    ]
    rows.append({"task": "a", "method": LINEAR, "fraction": 1.0, "chosen": False, "accuracy": 30})
    text = told("fraction", rows)
    assert "linear probe 30.0, all features 50.0, at the fraction that CV chooses 60.0" in text
    assert "is 0.1 with 75.0" in text


def test_one_layer_names_the_oracle() -> None:
    rows = [
        {"task": task, "layer": layer, "chosen": layer == chosen, "accuracy": accuracy}
        for task, chosen, figures in (
            ("a", "first", {NO_LAYER: 10, "first": 20, "second": 40}),
            ("b", "second", {NO_LAYER: 30, "first": 50, "second": 60}),
        )
        for layer, accuracy in figures.items()
    ]
    text = told("one-layer", rows)
    assert "linear probe 20.0" in text and "CV chooses 40.0" in text and text.endswith("50.0.")


def test_other_task_counts_pairs() -> None:
    figures = {("a", "a"): 80, ("a", "b"): 70, ("b", "b"): 60, ("b", "a"): 65}
    rows = [{"task": task, "selected_on": on, "accuracy": accuracy} for (task, on), accuracy in figures.items()]
    text = told("other-task", rows)
    assert "on the task itself 70.0, on another 67.5" in text and "in 1 of 2 pairs" in text


def test_target_size_names_the_best_of_all_and_of_each() -> None:
    text = told("target-size", by_task("target_size", {64: (50, 90), 512: (70, 80)}))
    assert "70.0 (N = 64), 75.0 (N = 512); best for all is N = 512" in text
    assert "task 0 512, task 1 64" in text


def test_whole_layers_compares_the_ends_and_the_best_step() -> None:
    text = told("whole-layers", by_task("towards_layer", {0.0: (80, 60), 0.5: (82, 62), 1.0: (40, 50)}))
    assert "single features 70.0, with whole layers 45.0" in text and "a = 0.5 with 72.0" in text


def test_kept_layers_weighs_depth_by_what_is_kept() -> None:
    rows = [{"task": "a", "depth": depth, "kept": kept} for depth, kept in ((0, 10), (1, 0), (2, 30))]
    assert "40 features from 2 of 3 layers, at a mean depth of 75 %" in told("kept-layers", rows)


def test_shots_give_gains() -> None:
    rows = [
        {"task": "a", "shots": shots, "method": method, "accuracy": accuracy}
        for shots, figures in (
            (5, {"linear": (40, 50), "head2toe": (44, 52)}),
            (20, {"linear": (60,), "head2toe": (59,)}),
        )
        for method, accuracies in figures.items()
        for accuracy in accuracies
    ]
    assert "+3.0 (5), -1.0 (20)" in told("shots", rows)


@pytest.mark.parametrize(("gains", "rho"), [((1, 2, 3), "-1.00"), ((3, 2, 1), "+1.00"), ((2, 3, 1), "+0.50")])
def test_affinity_is_a_rank_correlation(gains: tuple[float, ...], rho: str) -> None:
    rows = [{"task": f"task {i}", "affinity": 30 - 10 * i, "gain": gain} for i, gain in enumerate(gains)]
    assert f"over 3 tasks: {rho}" in told("affinity", rows)


def test_stability_averages_overlap_and_tells_what_averaging_brings() -> None:
    from head2toe.benchmark.experiments.stability import AVERAGED, ONE_DRAW, WHOLE

    rows = [
        {"task": "a", "selection": ONE_DRAW, "draw": draw, "fraction": 0.1, "overlap": 0.25, "accuracy": accuracy}
        for draw, accuracy in enumerate((50, 54))
    ]
    rows += [
        {"task": "a", "selection": selection, "draw": None, "fraction": 0.1, "overlap": None, "accuracy": accuracy}
        for selection, accuracy in ((AVERAGED, 61), (WHOLE, 60))
    ]
    text = told("stability", rows)
    assert "0.25 (F = 10 %)" in text and "standard deviation of 2.0" in text and "by +1.0 points" in text


@pytest.mark.parametrize(
    ("name", "column", "more"),
    [("several-sizes", "sizes", {}), ("hidden-layer", "head", {}), ("normalisation", "scaling", {"method": "all"})],
)
def test_ways_are_ranked_by_their_means(name: str, column: str, more: dict[str, str]) -> None:
    rows = by_task(column, {"worse": (90, 10), "better": (50, 60)}, **more)
    assert "better: 55.0; worse: 50.0" in told(name, rows)
