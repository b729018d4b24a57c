"""What experiments say of rows whose answers are known beforehand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from head2toe.benchmark.experiments import find
from head2toe.benchmark.experiments.affinity import rank_correlation
from head2toe.benchmark.experiments.fraction import LINEAR
from head2toe.benchmark.experiments.hidden_layer import RIDGE_HEAD
from head2toe.benchmark.experiments.one_layer import LINEAR as NO_LAYER
from head2toe.benchmark.experiments.scaling import NONE, UNIT
from head2toe.benchmark.experiments.several_sizes import CHOSEN, TOGETHER

UNLIKE = "Unlike in the paper, mean accuracy does not fall at every step:"
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
    assert "70.0 (0), 55.0 (2048), 30.0 (4096)" in text
    assert text.startswith("As in the paper, mean accuracy falls at every step.")
    text = told("offset", by_task("offset", {**FALLING, 6144: (50, 20)}))
    assert text.startswith("Unlike in the paper") and "it falls, but rises at offset 6144." in text


@pytest.mark.parametrize(
    ("last", "verdict"), [((40, 20), "falls, and never rises"), ((90, 90), "falls, but rises at offset 6144")]
)
def test_offset_tells_what_stays_from_what_falls(last: tuple[int, int], verdict: str) -> None:
    assert told("offset", by_task("offset", {**FALLING, 6144: last})).startswith(f"{UNLIKE} it {verdict}.")


@pytest.mark.parametrize(("means", "verdict"), [((50, 50), "never changes"), ((50, 60), "rises at offset 2048")])
def test_offset_tells_no_fall_where_there_is_none(means: tuple[int, int], verdict: str) -> None:
    rows = by_task("offset", {0: means[:1], 2048: means[1:]})
    assert told("offset", rows).startswith(f"{UNLIKE} it {verdict}.")


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
    assert "6144" not in text and "falls at every step." in text


def test_scorers_are_ranked_at_the_fractions_chosen_and_at_each() -> None:
    rows = [
        {"task": task, "scorer": scorer, "fraction": fraction, "chosen": fraction == chosen, "accuracy": accuracy}
        for task, chosen in (("a", 0.01), ("b", 0.1))
        for scorer, figures in (("group lasso", {0.01: 70, 0.1: 80}), ("random", {0.01: 90, 0.1: 40}))
        for fraction, accuracy in figures.items()
    ]
    text = told("scorers", rows)
    assert "group lasso: 75.0; random: 65.0" in text
    assert text.startswith("As in the paper, the group lasso comes first of 2. Random scores come last")
    assert "random 90.0 (1 %), group lasso 80.0 (10 %)" in text


def test_scorers_tell_who_beats_the_group_lasso_and_who_is_worse_than_chance() -> None:
    figures = {"f_classif": 80, "group lasso": 77, "random": 70, "variance": 60}
    rows = [
        {"task": "a", "scorer": scorer, "fraction": 0.1, "chosen": True, "accuracy": accuracy}
        for scorer, accuracy in figures.items()
    ]
    text = told("scorers", rows)
    assert text.startswith("Unlike in the paper, the group lasso does not come first: it is number 2 of 4, 3.0 points")
    assert "behind f_classif." in text and "do not come last; below them: variance (-10.0 points)." in text


def test_scorers_that_are_level_are_neither_first_nor_last() -> None:
    rows = [
        {"task": "a", "scorer": scorer, "fraction": 0.1, "chosen": True, "accuracy": 70}
        for scorer in ("group lasso", "random", "chi2")
    ]
    text = told("scorers", rows)
    assert text.startswith(
        "Unlike in the paper, the group lasso comes first of 3, but not alone: level with it are random"
    )
    assert "Random scores come last, but level with group lasso, chi2." in text


def test_the_order_of_the_tasks_breaks_no_tie() -> None:
    """Sums of the same fractions in another order differ in their last digit."""
    accuracies = {"group lasso": (70.1, 80.2, 60.3), "random": (60.3, 70.1, 80.2)}
    rows = [
        {"task": str(task), "scorer": scorer, "fraction": 0.1, "chosen": True, "accuracy": accuracy}
        for scorer, those in accuracies.items()
        for task, accuracy in enumerate(those)
    ]
    assert "not alone: level with it are random" in told("scorers", rows)


def test_fraction_compares_all_features_the_chosen_and_the_probe() -> None:
    curve = {(0.01, True): 60, (0.1, False): 75, (1.0, False): 50}
    rows = [
        {"task": "a", "method": "head2toe", "fraction": fraction, "chosen": chosen, "accuracy": accuracy}
        for (fraction, chosen), accuracy in curve.items()
    ]
    rows.append({"task": "a", "method": LINEAR, "fraction": 1.0, "chosen": False, "accuracy": 30})
    text = told("fraction", rows)
    assert text.startswith("As in the paper, the part that CV chooses does better than all features: +10.0 points")
    assert "linear probe 30.0, all features 50.0, at the fraction that CV chooses 60.0" in text
    assert "is 0.1 with 75.0" in text
    whole = [{**row, "chosen": row["fraction"] == 1.0} for row in rows]
    assert "Unlike in the paper, the part that CV chooses does not do better" in told("fraction", whole)


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
    assert text.startswith("As in the paper, an intermediate layer helps")
    assert "by +20.0 points on average, and raises it on 2 of 2 tasks." in text


def test_one_layer_may_not_help() -> None:
    rows = [
        {"task": "a", "layer": layer, "chosen": layer == "first", "accuracy": accuracy}
        for layer, accuracy in ((NO_LAYER, 50), ("first", 45))
    ]
    text = told("one-layer", rows)
    assert text.startswith("Unlike in the paper, an intermediate layer does not help") and "on 0 of 1 tasks" in text


def test_other_task_counts_pairs() -> None:
    figures = {("a", "a"): 80, ("a", "b"): 70, ("b", "b"): 60, ("b", "a"): 65}
    rows = [{"task": task, "selected_on": on, "accuracy": accuracy} for (task, on), accuracy in figures.items()]
    text = told("other-task", rows)
    assert "on the task itself 70.0, on another 67.5" in text and "in 1 of 2 pairs" in text
    assert text.startswith("As in the paper, features selected on another task do worse than own ones: -2.5 points")
    swapped = [{**row, "accuracy": 100 - row["accuracy"]} for row in rows]
    assert "Unlike in the paper, features selected on another task do not do worse" in told("other-task", swapped)
    level = [{**row, "accuracy": 50} for row in rows]
    assert "do not do worse than own ones: +0.0 points on average." in told("other-task", level)


def test_target_size_names_the_best_of_all_and_of_each() -> None:
    text = told("target-size", by_task("target_size", {64: (50, 90), 512: (70, 80)}))
    assert "70.0 (N = 64), 75.0 (N = 512); best for all is N = 512" in text
    assert "task 0 512, task 1 64" in text and "official" not in text


@pytest.mark.parametrize(
    ("fine", "verdict"),
    [
        ((50, 90), "As in the settings of the official code, caltech101 does best with a larger size (512) than orien"),
        ((90, 50), "Unlike in the settings of the official code, caltech101 does best with no larger size (64) than o"),
    ],
)
def test_target_size_is_held_against_the_official_settings(fine: tuple[int, int], verdict: str) -> None:
    figures = {"caltech101": fine, "orientation": (90, 50)}
    rows = [
        {"task": task, "target_size": size, "accuracy": accuracy}
        for task, accuracies in figures.items()
        for size, accuracy in zip((64, 512), accuracies, strict=True)
    ]
    assert told("target-size", rows).startswith(verdict)


def test_whole_layers_compares_the_ends_and_the_best_step() -> None:
    text = told("whole-layers", by_task("towards_layer", {0.0: (40, 50), 1.0: (80, 60)}))
    assert text.startswith("Unlike in the paper, single features do not do better than whole layers: -25.0 points.")
    text = told("whole-layers", by_task("towards_layer", {0.0: (80, 60), 0.5: (82, 62), 1.0: (40, 50)}))
    assert text.startswith("As in the paper, single features do better than whole layers: +25.0 points.")
    assert "single features 70.0, with whole layers 45.0" in text and "a = 0.5 with 72.0" in text


def test_kept_layers_weighs_depth_by_what_is_kept() -> None:
    rows = [{"task": "a", "depth": depth, "kept": kept} for depth, kept in ((0, 10), (1, 0), (2, 30))]
    text = told("kept-layers", rows)
    assert "40 features from 2 of 3 layers, at a mean depth of 75 %" in text
    assert text.startswith(
        "As in the paper, the kept features are of several layers in every task, from 2 (a) to 2 (a)"
    )
    alone = told("kept-layers", [{**row, "kept": 5 * (row["depth"] == 1)} for row in rows])
    assert alone.startswith("Unlike in the paper, a keeps features of one layer alone.")


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
    text = told("shots", rows)
    assert "+3.0 (5), -1.0 (20)" in text
    assert text.startswith(
        "Tasks in which Head2Toe is ahead of the linear probe (images a class): 1 of 1 (5), 0 of 1 (20)"
    )


@pytest.mark.parametrize(("gains", "rho"), [((1, 2, 3), "-1.00"), ((3, 2, 1), "+1.00"), ((2, 3, 1), "+0.50")])
def test_affinity_is_a_rank_correlation(gains: tuple[float, ...], rho: str) -> None:
    rows = [{"task": f"task {i}", "affinity": 30 - 10 * i, "gain": gain} for i, gain in enumerate(gains)]
    text = told("affinity", rows)
    assert f"over 3 tasks: {rho}" in text and "not seen to fall" in text  # three tasks are too few


@pytest.mark.parametrize(
    ("sign", "verdict"), [(-1, "As in the paper, the gain falls"), (1, "Unlike in the paper, the gain rises")]
)
def test_affinity_tells_a_fall_from_a_rise(sign: int, verdict: str) -> None:
    rows = [{"task": f"task {i}", "affinity": i, "gain": sign * i} for i in range(9)]
    assert told("affinity", rows).startswith(verdict)


def test_stability_averages_overlap_and_tells_what_averaging_brings() -> None:
    """Of two draws the deviation is estimated: 4 / sqrt(2), not the half of 4."""
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
    assert "0.25 (F = 10 %)" in text and "standard deviation of 2.8" in text and "by +1.0 points" in text


@pytest.mark.parametrize(
    ("name", "column", "names", "more"),
    [
        ("several-sizes", "sizes", (TOGETHER, CHOSEN), {}),
        ("hidden-layer", "head", (RIDGE_HEAD, "32 hidden units"), {}),
        ("normalisation", "scaling", (NONE, UNIT), {"method": "all"}),
    ],
)
def test_ways_are_ranked_by_their_means(name: str, column: str, names: tuple[str, str], more: dict[str, str]) -> None:
    worse, better = names
    text = told(name, by_task(column, {worse: (90, 10), better: (50, 60)}, **more))
    assert f"{better}: 55.0; {worse}: 50.0" in text


def test_ways_are_compared_before_they_are_ranked() -> None:
    def first(name: str, column: str, figures: dict[str, tuple[float, ...]], **more: Any) -> str:
        return find(name).findings(by_task(column, figures, **more))[0]

    assert "ranking do better than" in first("several-sizes", "sizes", {TOGETHER: (60,), CHOSEN: (50,)})
    assert "no better" in first("several-sizes", "sizes", {TOGETHER: (50,), CHOSEN: (60,)})
    heads = {RIDGE_HEAD: (60,), "32 hidden units": (61,), "128 hidden units": (62,)}
    assert first("hidden-layer", "head", heads).startswith("The best hidden layer, 128 hidden units, does better")
    assert "no better" in first("hidden-layer", "head", {RIDGE_HEAD: (60,), "32 hidden units": (50,)})
    assert "does better" in first("normalisation", "scaling", {NONE: (50,), UNIT: (60,)}, method="all")
    assert "does not always" in first("normalisation", "scaling", {NONE: (60,), UNIT: (50,)}, method="all")


@pytest.mark.parametrize(("together", "verdict"), [(70, "better"), (55, "no better")])
def test_several_backbones_are_held_against_the_best_alone(together: int, verdict: str) -> None:
    rows = [
        {"task": "a", "backbone": backbone, "method": method, "accuracy": accuracy}
        for backbone, accuracy in (("one", 50), ("two", 60), ("one + two", together))
        for method in ("linear", "head2toe")
    ]
    assert told("backbones", rows).startswith(
        f"Together the backbones do {verdict} with Head2Toe than the best of them"
    )
