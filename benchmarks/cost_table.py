"""What methods cost, for the reproduction page: FLOPs, seconds and bytes of the costed tasks, and the official grid."""

from __future__ import annotations

from statistics import mean, median
from typing import Any

from benchmarks import bench_paper, bench_recipe_grid, records
from benchmarks.bench_paper import OFFICIAL

OURS, REFERENCE, ONE_RUN = "head2toe", "head2toe-reference", "finetune-cost"
COSTS = {"train_flops": 1e12, "seconds": 1, "stored_bytes": 1e6}  # and the units that are printed
HUNDRED = 100  # the paper's claim
GRID_GOAL = 50  # how many times faster than the official grid head2toe is meant to be


def lead() -> str:
    """What the cost tables count, and how far the reference's grid is from the official one."""
    from head2toe.benchmark.methods.networks import FINETUNING_BATCH, FINETUNING_STEPS
    from head2toe.benchmark.methods.probe import FEW_CLASSES, RECIPE_FOLDS, RECIPE_SIZES, RECIPE_STEPS
    from head2toe.probes.recipe_search import RecipeGrid

    steps = " and ".join(f"{number}" for number in RECIPE_STEPS)
    sizes = ", ".join(f"{size}" for size in RECIPE_SIZES[:-1]) + f" and {RECIPE_SIZES[-1]}"
    passes = 3 * FINETUNING_STEPS * FINETUNING_BATCH / 1000
    return (
        f"**The reference.** `{REFERENCE}` is the recipe of the official code on a smaller grid, to keep to hours of "
        f"two cores: one target size instead of 3, {RecipeGrid.steps[0]} steps instead of "
        f"{steps}, {len(RecipeGrid.fractions)} fractions instead of about 18, one split instead of {RECIPE_FOLDS} "
        f"folds, and with more than {FEW_CLASSES} classes one lambda instead of 2. So its accuracies are not the most "
        f"that the recipe can give. What the scores of the official grid, {sizes} numbers a layer, would take "
        "is told for each backbone: from the seconds of a step at the smallest target size, as a step takes as long as "
        "there are features (`python -m benchmarks scores` times some). The heads of the fractions would come on top "
        f"of it.{_more_of_the_grid()}\n\n"
        "**What it costs.** FLOPs and seconds count extraction of the training images, the choice of hyper-parameters "
        "and the last fit; stored is what must be kept for the task. Fine-tuning by the official schedule, "
        f"{FINETUNING_STEPS} steps of {FINETUNING_BATCH} images, is extrapolated from a few steps. One run of it is as "
        f"much as {passes:,.0f} passes of 1000 training images through the network, a backward pass counted as two, so "
        "no method that passes them once can save more.\n"
    )


def _more_of_the_grid() -> str:
    """What the reference gains by more of the official grid on held-out training images, and what that takes."""
    found = records.read(bench_recipe_grid.NAME)
    if not found.keys() >= set(bench_recipe_grid.CHOSEN):
        return ""
    everywhere = [part for part in bench_recipe_grid.ALL if all(part in task for task in found.values())]
    told = ", ".join(
        f"{part} {mean(100 * task[part]['accuracy'] for task in found.values()):.1f}" for part in everywhere
    )
    return (
        f" More of it was tried where no test image is needed, with the embedded backbone on {', '.join(found)} "
        f"(`python -m benchmarks recipe_grid`). Means of the accuracy on 200 held-out training images of each: {told}. "
        "Of the recipe that is the best of its candidates on these images, so the higher by luck the more there are; "
        f"of head2toe what it chose by cross-validation among the other 800.{_second_size(found)}"
    )


def _second_size(found: dict[str, dict[str, Any]]) -> str:
    """What the official grid's second target size gives and takes, where it was run."""
    at, ours = bench_recipe_grid.SECOND, bench_recipe_grid.OURS
    there = {task: parts for task, parts in found.items() if at in parts}
    if not there:
        return ""
    reached = ", ".join(f"{task} {100 * parts[at]['accuracy']:.1f}" for task, parts in there.items())
    spent = [sum(parts[part]["seconds"] for part in bench_recipe_grid.OFFICIAL) for parts in there.values()]
    times = [whole / parts[ours]["seconds"] for whole, parts in zip(spent, there.values(), strict=True)]
    seconds, ratios = (" and ".join(f"{one:,.0f}" for one in values) for values in (spent, times))
    return (
        f" At the official grid's second target size, {at}: {reached}. That, and the smallest size with 500 and 5000 "
        "steps, is half of the official settings, those of fewer steps or features; on this one split alone they took "
        f"{seconds} CPU-seconds, beside other work on the machine, {ratios} times those of head2toe's search."
    )


def tables(outcomes: list[Any]) -> str:
    """Markdown: a table for each costed task, and what they say of the paper's hundred."""
    found = {task: rows for task in bench_paper.COSTED if (rows := _rows(outcomes, task))}
    if not found:
        return ""
    sentences = [_hundred(found), *_measured(outcomes, found)]
    return "\n".join([*(_table(task, rows) for task, rows in found.items()), " ".join(sentences) + "\n"])


def _rows(outcomes: list[Any], task: str) -> dict[str, dict[str, Any]]:
    """Costs of one task by method, and its classes and training images; nothing without both ends of the comparison."""
    from benchmarks.tables import cost_rows

    mine = [one for one in outcomes if one.task == task]
    sizes = {one.method: {"classes": one.classes, "n_train": one.n_train} for one in mine}
    rows = {row["method"]: {**row, **sizes[row["method"]]} for row in cost_rows(mine)}
    return rows if {OURS, ONE_RUN} <= rows.keys() else {}


def _runs() -> int:
    """Of tuned fine-tuning: one a learning rate, judged on a held-out fifth, and the last on all images."""
    from head2toe.benchmark.methods.networks import RATES

    return len(RATES) + 1


def _tuned(row: dict[str, Any]) -> dict[str, Any]:
    """One run's costs, of all runs: every run has as many steps, and one network is kept."""
    return {**row, "train_flops": _runs() * row["train_flops"], "seconds": _runs() * row["seconds"]}


def _table(task: str, rows: dict[str, dict[str, Any]]) -> str:
    from benchmarks.markdown import markdown_table

    named = {name: rows[name] for name in ("linear", REFERENCE, OURS) if name in rows}
    named["fine-tuning, official schedule, one run, extrapolated"] = rows[ONE_RUN]
    tuned = f"the same tuned over {_runs() - 1} learning rates on a held-out fifth, {_runs()} runs, extrapolated"
    named[tuned] = _tuned(rows[ONE_RUN])
    header = [f"{task}, {rows[OURS]['classes']} classes", "TFLOPs", f"times {OURS}'s", "seconds", "times"]
    return markdown_table([*header, "stored MB", "times"], [(name, *_cells(row, rows)) for name, row in named.items()])


def _cells(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> list[str]:
    return [_short(value) for name, unit in COSTS.items() for value in (row[name] / unit, row[name] / rows[OURS][name])]


def _short(value: float) -> str:
    """Three figures, or two of small numbers; none of a large one is cut."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _hundred(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Where one run takes a hundred times head2toe's FLOPs, where not and why, and how many times tuning takes."""
    times = {task: rows[ONE_RUN]["train_flops"] / rows[OURS]["train_flops"] for task, rows in found.items()}
    below = [task for task, value in times.items() if value < HUNDRED]
    each = " and ".join(f"{value:,.0f} ({task})" for task, value in times.items())
    tuned = " and ".join(f"{_runs() * value:,.0f}" for value in times.values())
    shares = " and ".join(f"{100 * _search_share(found[task]):.0f} % ({task})" for task in below or found)
    verdict = (
        f"On {' and '.join(below)} this is below the paper's hundred: `{OURS}`'s FLOPs count"
        if below
        else f"This is the paper's hundred, or more, though `{OURS}`'s FLOPs count"
    )
    return (
        f"One run of fine-tuning takes {each} times the FLOPs of `{OURS}`. {verdict} its whole search over all "
        f"candidates and folds, some {shares} of them; that weighs the more, the smaller the network is and the more "
        f"classes there are. Tuned, which is like with like, fine-tuning takes {tuned} times."
    )


def _search_share(rows: dict[str, dict[str, Any]]) -> float:
    """Of head2toe's FLOPs, what is not the network's pass over the training images: that from fine-tuning's steps."""
    from head2toe.benchmark.methods.networks import FINETUNING_BATCH, FINETUNING_STEPS

    forward = rows[ONE_RUN]["train_flops"] / (3 * FINETUNING_STEPS * FINETUNING_BATCH)
    return 1 - forward * rows[OURS]["n_train"] / rows[OURS]["train_flops"]


def _measured(outcomes: list[Any], found: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """How tuned fine-tuning that ran to its end compares with what is extrapolated."""
    ran = {one.task: one.train_flops for one in outcomes if one.method == OFFICIAL}
    pairs = [
        f"{ran[task] / 1e12:,.1f} TFLOPs ({task}; {_tuned(rows[ONE_RUN])['train_flops'] / 1e12:,.1f} extrapolated)"
        for task, rows in found.items()
        if task in ran
    ]
    return [f"`{OFFICIAL}`, tuned and trained to the end, counted {' and '.join(pairs)}."] if pairs else []


def official_grid(outcomes: list[Any]) -> list[str]:
    """What the recipe's official grid would take, in head2toe's training seconds: whole, and its smallest size."""
    pairs = bench_paper.pairs(outcomes, REFERENCE, bench_paper.GROUPS)
    whole, smallest = (_in_ours(pairs, f"official_{part}_seconds_estimated") for part in ("grid", "smallest_size"))
    if not whole or not smallest:
        return []
    return [
        (
            "Extrapolated from the seconds of a step, the scores of the official grid would take "
            f"{_span(whole)} times the training seconds of {OURS}, those at its smallest target size alone "
            f"{_span(smallest)}; {GRID_GOAL} times as long, a goal set beforehand, is reached in "
            f"{_reached(whole)} of {len(whole)} tasks, and by the smallest size alone in {_reached(smallest)}."
        )
    ]


def _in_ours(pairs: list[tuple], name: str) -> dict[str, float]:
    """An extrapolated time of the recipe, in head2toe's training seconds, by task."""
    return {ours.task: theirs.choice[name] / ours.train_seconds for ours, theirs in pairs if name in theirs.choice}


def _span(times: dict[str, float]) -> str:
    least, most = min(times, key=times.__getitem__), max(times, key=times.__getitem__)
    return f"{times[least]:,.0f} ({least}) to {times[most]:,.0f} ({most}), {median(times.values()):,.0f} in the median"


def _reached(times: dict[str, float]) -> int:
    return sum(value >= GRID_GOAL for value in times.values())
