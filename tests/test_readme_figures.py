"""The README's figures are those of the committed records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import bench_paper, records
from benchmarks.bench_few_images import PER_CLASS

TEXT = " ".join((Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8").split())


def cells(backbone: str) -> dict[str, dict[str, Any]]:
    return {task: records.read(f"paper/{task}--{backbone}") for task in bench_paper.GROUPS}


def accuracies(backbone: str, method: str) -> np.ndarray:
    return np.array([100 * cell[method]["accuracy"] for cell in cells(backbone).values()])


def gains(backbone: str, over: str = "linear") -> np.ndarray:
    return accuracies(backbone, "head2toe") - accuracies(backbone, over)


def told(*sentences: str) -> None:
    for sentence in sentences:
        assert sentence in TEXT


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


def test_gains_over_the_linear_probe_of_the_same_fit() -> None:
    record = records.read("main_job")
    names = ("embedded", "resnet50", "mobilenetv2_100", "vit_tiny_patch16_224")
    rows = [[record[f"{task}/{name}"] for task in bench_paper.GROUPS] for name in names]
    found = [np.array([row["head2toe"] - row["linear"] for row in one]) for one in rows]
    spans = [f"{gain.mean():.1f} ({gain.min():.1f})" for gain in found]
    told(f"over that one the gains are {', '.join(spans[:-1])} and {spans[-1]}")


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
    flops = [cell[whole]["train_flops"] / cell["head2toe"]["train_flops"] for cell in cells("embedded").values()]
    ours, theirs = (accuracies("embedded", name).mean() for name in ("head2toe", whole))
    told(
        f"reaches {theirs:.1f} on the mean of the nine, Head2Toe {ours:.1f} at between a {min(flops):.0f}th and a "
        f"{max(flops):.0f}th of its training FLOPs"
    )
    lead = dict(zip(bench_paper.GROUPS, -gains("embedded", whole), strict=True))
    caltech = lead.pop("caltech101")
    told(f"was {caltech:.1f} points better than Head2Toe on Caltech101", f"at most {max(lead.values()):.1f} better")


def test_heads_are_small() -> None:
    told("No head takes more than 1 % of a fine-tuned network's bytes.")
    whole = ("finetune", "finetune-cost", bench_paper.OFFICIAL)
    for backbone in bench_paper.BACKBONES:
        found = list(cells(backbone).values())
        smallest = min(cell[name]["stored_bytes"] for cell in found for name in whole if name in cell)
        assert all(100 * cell["head2toe"]["stored_bytes"] <= smallest for cell in found)


@pytest.mark.parametrize(("name", "method", "rival"), [("few_images", "head2toe", "linear"),
                                                       ("unlabelled", "unlabelled", "head2toe")])  # fmt: skip
def test_few_and_unlabelled_images(name: str, method: str, rival: str) -> None:
    means, single = [], []
    for draws in records.read(name).values():
        each = {count: [row for row in draws.values() if row["per_class"] == count] for count in PER_CLASS}
        differences = [[row[method] - row[rival] for row in rows] for rows in each.values()]
        means += [float(np.mean(some)) for some in differences]
        single += [one for some in differences for one in some]
    if name == "few_images":
        told(
            f"the mean gain is {np.mean(means):.1f}; the smallest, {min(means):.1f} as the mean of three draws, with a "
            f"loss of {-min(single):.1f} in one of them"
        )
        return
    told(
        f"it gained {np.mean(means):.1f} points on average, {max(means):.1f} at best, and lost {-min(means):.1f} at "
        f"worst (means of three draws; a single one gained up to {max(single):.1f} and lost up to {-min(single):.1f}:"
    )


def test_what_groups_tell() -> None:
    crops = records.read("groups")["rsscn7"]
    told(
        f"it then expects {crops['groups']['expected']:.1f} %, without {crops['alone']['expected']:.0f} %, "
        f"where crops of new ones give {crops['groups']['new']:.1f} % (RSSCN7;"
    )


def test_what_extraction_costs() -> None:
    record = json.loads((records.FOLDER / "extraction.json").read_text(encoding="utf-8"))
    ratio = record["pooling"]["ratio"]
    told(
        f"extraction took {ratio['default']:.2f} times as long as the bare network",
        f"(`statistics=()`) {ratio['512']:.2f} times",
        f"ran at {record['predict']['share_of_bare_images_per_second']:.2f} of its speed",
    )


def test_how_the_search_grows() -> None:
    page = (Path(__file__).parents[1] / "docs" / "how-the-probe-works.md").read_text(encoding="utf-8")
    spent = records.read("growth")
    assert (
        f"printed {spent['12500, 102']:.0f} CPU-seconds for 12,500 features and {spent['200000, 102']:.0f} for 200,000 "
        f"(102 classes, 1000 images), {spent['50000, 2']:.0f} for two classes and {spent['50000, 102']:.0f} for 102 "
        "(50,000 features)"
    ) in " ".join(page.split())
    ratios = {name: row["search_over_extraction"] for name, row in records.read("search").items()}
    ours, papers = ([ratio for name, ratio in ratios.items() if name.endswith(end)] for end in ("default", "8192"))
    assert (
        f"with the default columns it took {min(ours):.2f} to {max(ours):.2f} of the time, with the paper's target "
        f"sizes 512, 2048 and 8192 {min(papers):.2f} to {max(papers):.2f} ("
    ) in " ".join(page.split())
    others = [ratio for name, ratio in ratios.items() if not name.endswith(("default", "8192"))]
    peaks = [row["peak_over_matrix"] for row in records.read("search").values()]
    assert f"it took {min(others):.2f} to {max(others):.2f} of the time, most with 102" in " ".join(page.split())
    assert f"a fit took {min(peaks):.2f} to {max(peaks):.2f} times the memory" in " ".join(page.split())


def test_what_is_expected_of_noise() -> None:
    page = (Path(__file__).parents[1] / "docs" / "how-the-probe-works.md").read_text(encoding="utf-8")
    noise = records.read("noise")
    estimated = sum(one["estimated"] for one in noise["draws"]) / len(noise["draws"])
    assert (
        f"{estimated:.1f} % on 100 rows of noise, where chance is {noise['chance']:.0f} "
        f"(`python -m benchmarks noise`, mean of {len(noise['draws'])} draws)"
    ) in " ".join(page.split())
