"""Sections of the reproduction page on the table of all methods, from the records that `bench_paper` wrote."""

from __future__ import annotations

import json
from typing import Any

from benchmarks import bench_paper, cost_table, records
from benchmarks.bench_paper import OFFICIAL
from head2toe.benchmark.methods.sparse import TOLERANCE

# On a GPU; extrapolated; and the very training of head2toe-ft.
NOT_COUNTED = (OFFICIAL, "finetune-cost", "head2toe-ft+")

FAR = 4.0  # points from the test accuracy at which an estimate is set beside the balanced accuracy too

LEAD = f"""\
## The table

The paper compares these methods on the 19 tasks of VTAB-1k and finds Head2Toe 8.8 points above the linear probe on
average (ResNet-50; as recalled, not looked up again), level with fine-tuning, at a hundredth of its training and
storage. Here are nine tasks: natural images (caltech101; cifar10; mnist; signdigits, photographs of ten hand signs),
specialized (brainmri, kinds of tumour; rsscn7, aerial scenes) and structured (nuclei_count, cell nuclei in a
microscope's crop; location and orientation of dSprites). caltech101 is drawn anew by VTAB's protocol, dSprites rendered
anew; cifar10 and mnist are samples; signdigits is Sign-Language-Digits, rsscn7 RSSCN7, nuclei_count made of the Data
Science Bowl 2018. brainmri is the Brain-Tumor-Classification-DataSet: slices of one patient may be on both sides, so
that all accuracies are too high for new patients. The ResNet-50 is a compressed one, 72.2 % top-1 on ImageNet by its
source. `{bench_paper.SMALL}` is the embedded backbone on images of
{bench_paper.PIXELS} pixels, for methods that train the network. `head2toe` is this package's search, `head2toe-equal`
the same with the paper's candidates alone, `head2toe-reference` the published recipe on a smaller grid. A mean stands
where all its tasks have been measured by a method. Where methods of a backbone were measured on different machines, its
seconds are not those of one of them. How often test images were looked at is told in [a list](test-images.md).
"""

DIFFERS = f"""\
**Why it may differ.** All backbones but ResNet-50 are smaller than the paper's, and that one is compressed. Nine
tasks of 1000 training images are not VTAB's nineteen, so the means are of other tasks. Heads are others: `linear` and
`all-l2` are logistic regressions; `all-l1` and `all-gl` are solved to a relative duality gap of
{100 * TOLERANCE:.1f} %, or to a limit of steps (told for each backbone), where the paper takes 500 or 5000 steps of
Adam. The frozen network runs in {bench_paper.DTYPE}, not in the number format that is fastest on a machine,
which the library takes by itself. The grid of the recipe is reduced as told above.
"""


def sections() -> list[str]:
    """Markdown: an introduction, and accuracies, gains and costs of each backbone that has been measured."""
    found, hours = [], 0.0
    for backbone in bench_paper.BACKBONES:
        outcomes = bench_paper.outcomes(backbone)
        if outcomes:
            found.append(_backbone(backbone, outcomes))
            hours += sum(_hours(outcomes))
    if not found:
        return [LEAD, "Not yet run.\n"]
    return [LEAD, cost_table.lead(), DIFFERS, *found, _whole(hours)]


def _whole(hours: float) -> str:
    """What all of `make reproduce` took, from the hours of the table's cells and the records of the experiments."""
    files = (records.FOLDER / "experiments").glob("*.json")
    seconds = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in files]
    others, at_once = sum(seconds) / 3600, bench_paper.PROCESSES
    return (
        "### What it took\n\n"
        f"The cells above took {hours:.1f} hours by their records, and {at_once} run at once; the experiments below "
        f"took {others:.1f}. That makes {hours / at_once + others:.2f} hours of two cores for the whole of "
        "`make reproduce`; what was measured beside other work counts with the time it took there. The column "
        f"`{OFFICIAL}` is no part of it: `python -m benchmarks.bench_paper --methods={OFFICIAL}` makes it, on a GPU.\n"
    )


def _backbone(backbone: str, outcomes: list[Any]) -> str:
    from benchmarks.markdown import markdown_table
    from benchmarks.tables import accuracy_rows

    names = list(bench_paper.columns(backbone))
    rows = [
        (task, *("-" if value is None else f"{value:.1f}" for value in values))
        for task, values in accuracy_rows(outcomes, names)
    ]
    table = markdown_table(["top-1 accuracy (%)", *names], rows)
    sentences = [
        *_gains(outcomes),
        *_estimates(outcomes),
        *cost_table.official_grid(outcomes),
        *_formats(outcomes),
        *_paths(outcomes),
        *_earlier(outcomes),
        _took(outcomes),
    ]
    bullets = "".join(f"- {sentence}\n" for sentence in sentences)
    return "\n".join(part for part in (f"### {backbone}\n", table, bullets, cost_table.tables(outcomes)) if part)


def _formats(outcomes: list[Any]) -> list[str]:
    """Which methods saw features of which number format, where these differ."""
    by_format: dict[str, list[str]] = {}
    for one in outcomes:
        if one.dtype is not None and one.method not in by_format.setdefault(one.dtype, []):
            by_format[one.dtype].append(one.method)
    if len(by_format) < 2:
        return []
    listed = "; ".join(f"{name} for {', '.join(methods)}" for name, methods in sorted(by_format.items()))
    return [f"The frozen network ran in {listed}."]


def _paths(outcomes: list[Any]) -> list[str]:
    """Where the paths of the sparse penalties ended: how far from the optimum, and whether at the weakest strength."""
    from head2toe.benchmark.methods.sparse import TOLERANCE, ratios

    found = []
    for method in ("all-l1", "all-gl"):
        mine = [one for one in outcomes if one.method == method]
        loose = [one.choice["relative_gap"] for one in mine if one.choice["relative_gap"] > TOLERANCE]
        weakest = sum(one.choice["lambda"].startswith(f"{ratios(one.classes)[-1]:g} ") for one in mine)
        if loose:
            found.append(
                f"{method} stopped by its limit of steps in {len(loose)} of {len(mine)} cells, at relative duality "
                f"gaps of up to {100 * max(loose):.1f} %"
            )
        if weakest:
            found.append(f"{method} chose the weakest strength it tries in {weakest} of {len(mine)} cells")
    return [f"{'; '.join(found)}."] if found else []


def _earlier(outcomes: list[Any]) -> list[str]:
    """Whether fine-tuned heads are those of an earlier `head2toe` than the table's."""
    reached = {one.task: one.accuracy for one in outcomes if one.method == "head2toe"}
    fell_back = [
        one for one in outcomes if one.method == "head2toe-ft+" and one.choice and one.choice["method"] == "head2toe"
    ]
    if all(one.accuracy == reached.get(one.task) for one in fell_back):
        return []
    return ["head2toe-ft and head2toe-ft+ began with the heads of an earlier search than that of head2toe here."]


def _took(outcomes: list[Any]) -> str:
    training, extraction = (f"{hours:.1f}" for hours in _hours(outcomes))
    return f"What ran here, nothing extrapolated, took {training} hours of training and {extraction} of extraction."


def _hours(outcomes: list[Any]) -> tuple[float, float]:
    """Of training and of extraction, of everything measured here; each pair of task and network extracts once.

    The time of the test images is not measured: they are taken to pass the network as fast as the training images.
    """
    ran = [one for one in outcomes if one.method not in NOT_COUNTED]
    training = sum(one.train_seconds for one in ran)
    longest: dict[str, float] = {}
    for one in ran:
        both = one.extract_seconds * (1 + one.n_test / one.n_train)
        longest[one.task] = max(longest.get(one.task, 0.0), both)
    return training / 3600, sum(longest.values()) / 3600


def _gains(outcomes: list[Any]) -> list[str]:
    far = [task for task in bench_paper.GROUPS if task not in bench_paper.NATURAL_OBJECTS]
    wanted = [("linear", far, "tasks that are no natural objects")]
    wanted += [(rival, list(bench_paper.GROUPS), "tasks") for rival in ("head2toe-reference", "finetune", OFFICIAL)]
    sentences = []
    for rival, tasks, what in wanted:
        pairs = bench_paper.pairs(outcomes, rival, tasks)
        if not pairs:
            continue
        gains = [100 * (ours.accuracy - theirs.accuracy) for ours, theirs in pairs]
        sentences.append(
            f"head2toe over {rival}, {len(pairs)} {what}: {sum(gains) / len(gains):+.1f} points on average, "
            f"{min(gains):+.1f} at least; {_times(rival, pairs)}."
        )
    return sentences


def _times(rival: str, pairs: list[tuple[Any, Any]]) -> str:
    """How much more a method costs to train than head2toe: in seconds where both ran on one kind of device."""
    if len({one.device for pair in pairs for one in pair}) == 1:
        times = sum(theirs.train_seconds for _, theirs in pairs) / sum(ours.train_seconds for ours, _ in pairs)
        return f"{rival} trains {times:.2g} times as long once the rows are there"
    each = [theirs.train_flops / ours.train_flops for ours, theirs in pairs]
    total = sum(theirs.train_flops for _, theirs in pairs) / sum(ours.train_flops for ours, _ in pairs)
    return (
        f"{rival}, learning rate tuned on a held-out fifth and trained on {pairs[0][1].device}, takes {total:,.0f} "
        f"times the training FLOPs ({min(each):,.0f} times at least), extraction and the whole search counted"
    )


def _estimates(outcomes: list[Any]) -> list[str]:
    """How far what head2toe expected, from training images alone, lay from what came."""
    mine = [one for one in outcomes if one.method == "head2toe" and "estimated_accuracy" in (one.choice or {})]
    if not mine:
        return []
    expected = {one.task: 100 * one.choice["estimated_accuracy"] for one in mine}
    gaps = sorted((expected[one.task] - 100 * one.accuracy, one.task) for one in mine)
    far = [
        f"{one.task}'s lies {expected[one.task] - 100 * one.balanced_accuracy:+.1f} from the balanced accuracy"
        for one in mine
        if abs(expected[one.task] - 100 * one.accuracy) > FAR
    ]
    (least, low), (most, high) = gaps[0], gaps[-1]
    sentence = (
        "What head2toe expected from its training images alone (`estimated_accuracy_`) lay "
        f"{sum(gap for gap, _ in gaps) / len(gaps):+.1f} points from its test accuracy on average, between "
        f"{least:+.1f} ({low}) and {most:+.1f} ({high})"
    )
    return ["; ".join([sentence, *far]) + "."]
