"""The table refuses or tells what cannot be compared."""

from __future__ import annotations

import pytest

from head2toe.benchmark.vtab import vtab_table
from head2toe.errors import DataFormatError

DATA = {"layout": "own", "order": "as in birds", "train": 8, "validation": 2, "test": 10, "test_of": 10}


def cell(
    backbone="embedded", method="linear", seed=0, *, task="birds", group="own", labels="aaaa", images="cccc", **data
):
    fingerprint = {"labels": labels, "images": images}
    found = {"task": task, "group": group, "backbone": backbone, "method": method, "seed": seed, "accuracy": 0.5}
    return {**found, "data": {**DATA, **data}, "fingerprint": fingerprint}


def differences(*cells):
    return [note for note in vtab_table(cells).notes if "not comparable" in note]


def test_a_task_of_two_groups_is_refused_whatever_the_order_of_its_cells():
    one, two = cell("first", group="natural"), cell("second", group="own")
    for cells in ([one, two], [two, one]):
        with pytest.raises(DataFormatError, match=r"task birds is of group .* in linear, .*run one of them again"):
            vtab_table(cells)


def test_backbones_that_saw_other_data_are_told_apart():
    told = differences(cell("first"), cell("second", test=4, labels="bbbb"))
    expected = "birds: its rows are not comparable, they differ in the number of test images and the labels."
    assert told == [expected]
    assert differences(cell("first"), cell("second", order="as in others")) == [
        "birds: its rows are not comparable, they differ in the choice of images."
    ]
    assert differences(cell("first"), cell("second", images="dddd")) == [
        "birds: its rows are not comparable, they differ in the images."
    ]


def test_the_same_data_of_several_backbones_need_no_word():
    assert not differences(cell("first"), cell("second"), cell("second", "knn", 1))
    lists = cell("first", layout="lists", order="as listed in the folder")
    original = cell("second", layout="torchvision", order="the order of tensorflow_datasets", images="dddd")
    assert not differences(lists, original)  # VTAB's own images, both


def test_the_median_of_a_row_is_over_the_same_data():
    with pytest.raises(DataFormatError, match=r"task birds: the seeds of linear, embedded are of other data .the lab"):
        vtab_table([cell(seed=0), cell(seed=1, labels="bbbb")])


def test_cells_without_a_fingerprint_are_still_read():
    older = {name: value for name, value in cell(seed=1).items() if name != "fingerprint"}
    oldest = {name: value for name, value in cell(seed=2).items() if name not in ("fingerprint", "data")}
    (row,) = vtab_table([cell(), older, oldest], published=()).rows
    assert row.seeds == 3 and not differences(cell("other"), older, oldest)


def test_a_bar_or_line_in_a_name_stays_in_its_cell():
    table = vtab_table([cell("a|b", task="up|down"), cell("a|b", task="two\nlines")], published=())
    header, marks, row = table.markdown().splitlines()[:3]
    assert r"up\|down" in header and r"a\|b" in row and "two lines" in header
    columns = {line.replace(r"\|", "").count("|") for line in (header, marks, row)}
    assert columns == {len(table.lines()[0]) + 1}
    assert "up|down" in table.csv()  # only Markdown needs it


def test_costs_alone_are_no_table():
    with pytest.raises(DataFormatError, match="no cell has an accuracy"):
        vtab_table([{**cell(method="finetune-cost"), "accuracy": None}])


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"settings": {"image_size": 32}}, {"settings": {"image_size": 64}}, "the settings"),
        ({"settings": {"steps": None}, "dtype": "float32"}, {"settings": {"steps": 500}}, "the settings"),
        (
            {"weights_sha256": "aa", "dtype": "float32"},
            {"weights_sha256": "bb", "dtype": "bfloat16"},
            "the weights and the number format",
        ),
    ],
)
def test_cells_of_one_backbone_that_were_made_otherwise_are_told(one, other, told):
    note = f"embedded: its rows mix cells that differ in {told}; they are not comparable."
    assert differences({**cell(), **one}, {**cell(seed=1), **other}) == [note]
    assert differences({**cell(), **one}, {**cell(method="knn"), **other}) == [note]
    assert not differences({**cell(), **one}, {**cell("second"), **other})


def test_older_cells_are_made_as_the_others_where_they_do_not_tell():
    older = {**cell(seed=1), "settings": {"image_size": 32}, "dtype": None}
    newer = {**cell(seed=2), "settings": {"image_size": 32, "steps": None}, "dtype": "float32", "weights_sha256": "aa"}
    assert not differences(cell(), older, newer)
