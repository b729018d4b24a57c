"""The 19 tasks against the figures of task_adaptation's own tests, and its label functions."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from head2toe.benchmark.vtab import DEFINITIONS, GROUPS, NAMES, PUBLISHED, access, definition
from head2toe.benchmark.vtab.definitions import Range
from head2toe.benchmark.vtab.labels import (
    clevr_count,
    clevr_distance,
    dsprites_location,
    dsprites_orientation,
    kitti_distance,
    smallnorb_azimuth,
    smallnorb_elevation,
)
from head2toe.benchmark.vtab.order import tfds_order
from head2toe.errors import ParameterError

# google-research/task_adaptation, task_adaptation/data/*_test.py: classes; expected_num_samples of train, val, test.
FIGURES = {
    "cifar100": (100, 45000, 5000, 10000),
    "caltech101": (102, 2754, 306, 6084),
    "dtd": (47, 1880, 1880, 1880),
    "flowers102": (102, 1020, 1020, 6149),
    "pets": (37, 2944, 736, 3669),
    "svhn": (10, 65931, 7326, 26032),
    "sun397": (397, 76128, 10875, 21750),
    "camelyon": (2, 262144, 32768, 32768),
    "eurosat": (10, 16200, 5400, 5400),
    "resisc45": (45, 18900, 6300, 6300),
    "retinopathy": (5, 35126, 10906, 42670),
    "clevr-count": (8, 63000, 7000, 15000),
    "clevr-distance": (6, 63000, 7000, 15000),
    "dmlab": (6, 65550, 22628, 22735),
    "kitti": (4, 6347, 423, 711),
    "dsprites-location": (16, 589824, 73728, 73728),
    "dsprites-orientation": (16, 589824, 73728, 73728),
    "smallnorb-azimuth": (18, 24300, 12150, 12150),
    "smallnorb-elevation": (9, 24300, 12150, 12150),
}

# The slices that google-research/scenic writes down for the same benchmark (projects/baselines/plainvit, vtab configs).
SLICES = {
    "caltech101": ("train[:800]", "train[2754:2954]"),
    "pets": ("train[:800]", "train[2944:3144]"),
    "resisc45": ("train[:800]", "train[18900:19100]"),
    "cifar100": ("train[:800]", "train[45000:45200]"),
    "eurosat": ("train[:800]", "train[16200:16400]"),
    "svhn": ("train[:800]", "train[65931:66131]"),
    "dsprites-location": ("train[:800]", "train[589824:590024]"),
    "clevr-distance": ("train[:800]", "train[63000:63200]"),
    "smallnorb-azimuth": ("train[:800]", "test[:200]"),
    "dtd": ("train[:800]", "validation[:200]"),
    "kitti": ("train[:800]", "validation[:200]"),
    "retinopathy": ("train[:800]", "validation[:200]"),
}


def test_there_are_7_natural_4_specialized_and_8_structured_tasks() -> None:
    groups = [task.group for task in DEFINITIONS]
    assert [groups.count(group) for group in GROUPS] == [7, 4, 8]
    assert tuple(FIGURES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_classes_and_sizes_are_those_of_task_adaptation(name: str) -> None:
    task = definition(name)
    assert (task.classes, len(task.train), len(task.validation), len(task.test)) == FIGURES[name]
    assert (len(task.train800), len(task.val200)) == (800, 200)


@pytest.mark.parametrize("name", NAMES)
def test_no_image_is_in_two_splits_and_each_is_in_one(name: str) -> None:
    task = definition(name)
    ranges = (task.train, task.validation, task.test)
    for part, size in task.parts.items():
        covered = sorted((one.start, one.stop) for one in ranges if one.part == part)
        assert covered[0][0] == 0 and covered[-1][1] == size
        assert all(before[1] == after[0] for before, after in pairwise(covered))


@pytest.mark.parametrize("name", SLICES)
def test_the_thousand_images_are_those_of_scenics_slices(name: str) -> None:
    def shown(one: Range) -> str:
        return f"{one.part}[{one.start or ''}:{one.stop}]"

    task = definition(name)
    assert (shown(task.train800), shown(task.val200)) == SLICES[name]


def test_a_task_is_found_by_its_folders_name_and_an_unknown_one_refused() -> None:
    assert definition("dsprites_ori").name == "dsprites-orientation"
    with pytest.raises(ParameterError, match="no task imagenet"):
        definition("imagenet")


def test_every_task_says_where_its_data_come_from() -> None:
    assert all(access(name).page.startswith("http") and access(name).terms for name in NAMES)
    assert {name for name in NAMES if access(name).manual} == {"resisc45", "retinopathy", "kitti"}


def test_dsprites_classes_are_equal_parts_of_the_factors() -> None:
    assert dsprites_location(np.arange(32)).tolist() == [x // 2 for x in range(32)]
    orientation = dsprites_orientation(np.arange(40))
    assert orientation[:6].tolist() == [0, 0, 0, 1, 1, 2]
    assert np.bincount(orientation).tolist() == [3, 2] * 8


def test_clevr_counts_start_at_three_objects() -> None:
    assert [clevr_count(n) for n in range(3, 11)] == list(range(8))


@pytest.mark.parametrize(
    ("depths", "label"),
    [([7.9, 12.0], 0), ([8.0], 0), ([8.1], 1), ([9.0], 2), ([11, 9.7], 4), ([10.0], 4), ([10.1], 5)],
)
def test_clevr_distance_is_the_class_below_the_nearest_object(depths: list[float], label: int) -> None:
    assert clevr_distance(depths) == label


@pytest.mark.parametrize(
    ("types", "depths", "label"),
    [
        # The cases of task_adaptation's kitti_test.py
        (["Car"], [1.0], 0),
        (["Car"], [10.0], 1),
        (["Car"], [30.0], 2),
        (["Person_sitting"], [30.0], 3),
        (["Car", "Van"], [30.0, 1.0], 0),
        # and: trams are no vehicles, trucks are; nothing at all
        (["Tram", "Truck"], [2.0, 9.0], 1),
        ([], [], 3),
    ],
)
def test_kitti_distance_is_that_of_the_nearest_vehicle(types: list[str], depths: list[float], label: int) -> None:
    assert kitti_distance(types, depths) == label


def test_smallnorb_azimuths_are_halved() -> None:
    assert smallnorb_azimuth(np.arange(0, 36, 2)).tolist() == list(range(18))
    assert smallnorb_elevation(np.arange(9)).tolist() == list(range(9))


def test_the_order_is_that_of_published_records_of_tensorflow_datasets() -> None:
    """The first of CIFAR's 50,000 training images there: train_16399, train_01680, train_47917, train_17307, ..."""
    first = [16399, 1680, 47917, 17307, 27051, 48736, 26263, 1456, 19135, 31598, 12970, 4223]
    assert tfds_order("train", range(50_000))[: len(first)].tolist() == first


def test_the_order_depends_on_the_split_and_on_names_as_text() -> None:
    keys = ["b.jpg", "a.jpg", "c.jpg"]
    expected = sorted(range(3), key=lambda i: hashlib.md5(f"test{keys[i]}".encode()).hexdigest())
    assert tfds_order("test", keys).tolist() == expected
    assert tfds_order("train", range(100)).tolist() != tfds_order("test", range(100)).tolist()
    assert tfds_order("train", range(100)).tolist() == tfds_order("train", map(str, range(100))).tolist()


@pytest.mark.parametrize(
    ("name", "mean"), [("Linear (paper)", 57.0), ("Head2Toe (paper)", 65.8), ("Scratch (paper)", 42.1)]
)
def test_recalled_rows_have_the_means_that_are_recalled_of_them(name: str, mean: float) -> None:
    row = next(row for row in PUBLISHED if row.name == name)
    assert not row.verified and "not verified" in row.source
    assert np.mean(list(row.accuracies.values())) == pytest.approx(mean, abs=0.1)
    assert set(row.accuracies) == set(NAMES)


def test_the_row_copied_from_vtabs_results_has_their_mean() -> None:
    row = next(row for row in PUBLISHED if row.name == "Sup-100% fine-tuned (VTAB)")
    assert row.verified
    assert np.mean(list(row.accuracies.values())) == pytest.approx(66.4, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_has_the_same_figures(name: str) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "vtab.md"
    line = next(line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |"))
    task = definition(name)
    sizes = " / ".join(f"{len(one):,}" for one in (task.train, task.validation, task.test))
    slices = " + ".join(f"{one.part}[{one.start}:{one.stop}]" for one in (task.train800, task.val200))
    assert line.startswith(f"| {name} | {task.group} | {task.classes} | {sizes} | {slices} | `{task.folder}` |")
    assert access(name).page in line and access(name).terms in line
