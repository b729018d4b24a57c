"""The figures of README.md and docs/results.md are those of the committed records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import bench_paper, bench_sample, records
from benchmarks.bench_few_images import PER_CLASS

from head2toe.benchmark.methods.networks import RATES

RUNS = len(RATES) + 1  # of fine-tuning for a task: one a learning rate, and the last
CHECKOUT = Path(__file__).parents[1]
README, RESULTS = (
    " ".join((CHECKOUT / page).read_text(encoding="utf-8").split()) for page in ("README.md", "docs/results.md")
)
NAMES = {
    "embedded": "EfficientNet-Lite0 (`embedded`, the default)",
    "resnet50": "ResNet-50",
    "mobilenetv2_100": "MobileNetV2",
    "vit_tiny_patch16_224": "ViT-Tiny",
}


def cells(backbone: str) -> dict[str, dict[str, Any]]:
    return {task: records.read(f"paper/{task}--{backbone}") for task in bench_paper.GROUPS}


def accuracies(backbone: str, method: str) -> np.ndarray:
    return np.array([100 * cell[method]["accuracy"] for cell in cells(backbone).values()])


def gains(backbone: str, over: str = "linear") -> np.ndarray:
    return accuracies(backbone, "head2toe") - accuracies(backbone, over)


def gains_of_fit(backbone: str) -> np.ndarray:
    """Over the linear probe that `fit` reports."""
    record = records.read("main_job")
    rows = [record[f"{task}/{backbone}"] for task in bench_paper.GROUPS]
    return np.array([row["head2toe"] - row["linear"] for row in rows])


def told(*sentences: str, page: str = RESULTS) -> None:
    for sentence in sentences:
        assert sentence in page


def test_the_sample_is_what_the_program_printed() -> None:
    assert bench_sample.sample(records.read("sample")) in (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_gains_over_the_linear_probe_and_the_recipe() -> None:
    first = gains("embedded")
    told(
        f"a mean gain of {first.mean():.1f} points over the linear probe ({first.min():.1f} the smallest, "
        f"{first.max():.1f} the largest,"
    )
    resnet, mobile, vit = (gains(name) for name in ("resnet50", "mobilenetv2_100", "vit_tiny_patch16_224"))
    told(
        f"with a ResNet-50 {resnet.mean():.1f} ({resnet.min():.1f} the smallest)",
        f"with a MobileNetV2 {mobile.mean():.1f} ({mobile.min():.1f})",
        f"with a ViT-Tiny {vit.mean():.1f} ({vit.min():.1f}",
        f"the embedded backbone gains {gains('embedded', 'head2toe-reference').mean():.1f}.",
    )
    each = dict(zip(bench_paper.GROUPS, gains("embedded", "head2toe-reference"), strict=True))
    location = each.pop("location")
    told(f"On location it gains {location:.1f}, on the other eight {np.mean(list(each.values())):.1f} on average.")


def test_gains_over_the_linear_probe_of_the_same_fit() -> None:
    spans = [f"{gain.mean():.1f} ({gain.min():.1f})" for gain in map(gains_of_fit, NAMES)]
    told(f"over it the gains are {', '.join(spans[:-1])} and {spans[-1]}")
    medians = [f"{np.median(gain):.1f}" for gain in map(gains_of_fit, NAMES)]
    for page in (README, RESULTS):
        told(f"the medians are {', '.join(medians[:-1])} and {medians[-1]}.", page=page)


@pytest.mark.parametrize("backbone", NAMES)
def test_the_table_of_gains(backbone: str) -> None:
    fits, other = gains_of_fit(backbone), gains(backbone)
    figures = (f"{figure:.1f}" for gain in (fits, other) for figure in (gain.mean(), gain.min()))
    told(f"| {NAMES[backbone]} | {' | '.join(figures)} |", page=README)


def test_fine_tuning() -> None:
    small, whole = bench_paper.SMALL, bench_paper.OFFICIAL
    linear, tuned, ours = (accuracies(small, name).mean() for name in ("linear", "finetune", "head2toe"))
    spent, least = (
        sum(cell[name]["train_flops"] for cell in cells(small).values()) for name in ("finetune", "head2toe")
    )
    told(
        f"{linear:.1f} for the linear probe, {tuned:.1f} for fine-tuning",
        f"and {ours:.1f} for Head2Toe, at {100 * least / spent:.0f} % of fine-tuning's FLOPs",
    )
    told(
        f"| {linear:.1f} | {tuned:.1f} | {ours:.1f} | {100 * least / spent:.0f} % of fine-tuning's FLOPs, "
        f"{100 * least / spent * RUNS:.0f} % of one run's |",
        page=README,
    )
    flops = [cell[whole]["train_flops"] / cell["head2toe"]["train_flops"] for cell in cells("embedded").values()]
    ours, theirs = (accuracies("embedded", name).mean() for name in ("head2toe", whole))
    told(
        f"reaches {theirs:.1f} on the mean of the nine, Head2Toe {ours:.1f} at between 1/{min(flops):.0f} and "
        f"1/{max(flops):.0f} of its training FLOPs, the whole search counted; of a single run's between "
        f"1/{min(flops) / RUNS:.0f} and 1/{max(flops) / RUNS:.0f}."
    )
    told(
        f"| | {theirs:.1f} | {ours:.1f} | 1/{min(flops):.0f} to 1/{max(flops):.0f}; of one run "
        f"1/{min(flops) / RUNS:.0f} to 1/{max(flops) / RUNS:.0f} |",
        page=README,
    )
    lead = dict(zip(bench_paper.GROUPS, -gains("embedded", whole), strict=True))
    caltech = lead.pop("caltech101")
    told(
        f"was {caltech:.1f} points better than Head2Toe on Caltech101",
        f"at most {max(lead.values()):.1f} better",
        page=README,
    )


def test_heads_are_small() -> None:
    for page in (README, RESULTS):
        told("No head takes more than 1 % of a fine-tuned network's bytes.", page=page)
    whole = ("finetune", "finetune-cost", bench_paper.OFFICIAL)
    for backbone in bench_paper.BACKBONES:
        found = list(cells(backbone).values())
        smallest = min(cell[name]["stored_bytes"] for cell in found for name in whole if name in cell)
        assert all(100 * cell["head2toe"]["stored_bytes"] <= smallest for cell in found)


@pytest.mark.parametrize(("name", "method", "rival"), [("few_images", "head2toe", "linear"),
                                                       ("unlabelled", "unlabelled", "head2toe")])  # fmt: skip
def test_few_and_unlabelled_images(name: str, method: str, rival: str) -> None:
    means, single, cases = [], [], []
    for task, draws in records.read(name).items():
        each = {count: [row for row in draws.values() if row["per_class"] == count] for count in PER_CLASS}
        differences = [[row[method] - row[rival] for row in rows] for rows in each.values()]
        means += [float(np.mean(some)) for some in differences]
        cases += [(task, count) for count in each]
        single += [one for some in differences for one in some]
    if name == "few_images":
        told(
            f"the mean gain is {np.mean(means):.1f}. The worst case was CIFAR-10 with five images a class: "
            f"{min(means):.1f} on average over three draws, {min(single):.1f} in the worst draw."
        )
        worst = int(np.argmin(means))
        assert cases[worst] == ("cifar10", 5) and min(single) in single[3 * worst : 3 * worst + 3]
        return
    told(f"on average it gained {np.mean(means):.1f} points with 5, 10 and 20 labelled images a class", page=README)
    told(
        f"it gained {np.mean(means):.1f} points on average, {max(means):.1f} at best, and lost {-min(means):.1f} at "
        f"worst (means of three draws; a single one gained up to {max(single):.1f} and lost up to {-min(single):.1f}:"
    )


def test_what_groups_tell() -> None:
    crops, brains = (records.read("groups")[task] for task in ("rsscn7", "brainmri"))
    told(
        f"it then expects {crops['groups']['expected']:.1f} %, without {crops['alone']['expected']:.0f} %, "
        f"where crops of new ones give {crops['groups']['new']:.1f} % (RSSCN7; of brain MRI "
        f"{brains['groups']['expected']:.1f} and {brains['alone']['expected']:.0f} %, where new ones give "
        f"{brains['groups']['new']:.1f} %:",
        page=README,
    )


def test_what_extraction_costs() -> None:
    record = json.loads((records.FOLDER / "extraction.json").read_text(encoding="utf-8"))
    ratio = record["pooling"]["ratio"]
    told(
        f"extraction took {ratio['default']:.2f} times as long as the bare network",
        f"(`statistics=()`) {ratio['512']:.2f} times",
        f"ran at {record['predict']['share_of_bare_images_per_second']:.2f} of its speed",
        page=README,
    )


def test_how_the_search_grows() -> None:
    page = (CHECKOUT / "docs" / "how-the-probe-works.md").read_text(encoding="utf-8")
    curves = records.read("growth")
    spent, kernels = ({size: row[part] for size, row in curves.items()} for part in ("seconds", "kernels"))
    assert (
        f"printed {spent['12500, 102']:.0f} CPU-seconds for 12,500 features and {spent['200000, 102']:.0f} for 200,000 "
        f"(102 classes, 1000 images), {spent['50000, 2']:.0f} for two classes and {spent['50000, 102']:.0f} for 102 "
        "(50,000 features), with nothing given up early. Of the last two, "
        f"{kernels['50000, 2']:.0f} and {kernels['50000, 102']:.0f} went into rows and kernels"
    ) in " ".join(page.split())
    searches = records.read("search")
    ratios = {name: row["search_over_extraction"] for name, row in searches.items()}
    ours, papers = ([ratio for name, ratio in ratios.items() if name.endswith(end)] for end in ("default", "8192"))
    assert (
        f"with the default columns it took {min(ours):.2f} to {max(ours):.2f} of the time, with the paper's target "
        f"sizes 512, 2048 and 8192 {min(papers):.2f} to {max(papers):.2f} ("
    ) in " ".join(page.split())
    others = [ratio for name, ratio in ratios.items() if not name.endswith(("default", "8192"))]
    mapped, held = ([row[peak] for row in searches.values()] for peak in ("peak_over_matrix", "peak_over_matrix_held"))
    assert f"it took {min(others):.2f} to {max(others):.2f} of the time, most with 102" in " ".join(page.split())
    assert (
        f"a fit took {min(mapped):.2f} to {max(mapped):.2f} times the memory of its rows where these lie on disk, and "
        f"{min(held):.2f} to {max(held):.2f} times beside them where they are an array in memory"
    ) in " ".join(page.split())


def test_what_is_expected_of_noise() -> None:
    page = (CHECKOUT / "docs" / "how-the-probe-works.md").read_text(encoding="utf-8")
    noise = records.read("noise")
    estimated = sum(one["estimated"] for one in noise["draws"]) / len(noise["draws"])
    assert (
        f"{estimated:.1f} % on 100 rows of noise, where chance is {noise['chance']:.0f} "
        f"(`python -m benchmarks noise`, mean of {len(noise['draws'])} draws)"
    ) in " ".join(page.split())
