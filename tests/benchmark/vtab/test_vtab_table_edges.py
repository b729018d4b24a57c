"""What the table tells where tasks, seeds or facts are lacking."""

from __future__ import annotations

import pytest

from head2toe.benchmark.vtab import definition, vtab_table
from head2toe.benchmark.vtab.listed import read_lists
from head2toe.benchmark.vtab.published import PublishedRow
from head2toe.benchmark.vtab.table import groups_in_order


def cell(task="birds", group="own", seed=0, accuracy=0.5, **data):
    found = {"task": task, "group": group, "backbone": "embedded", "method": "linear", "seed": seed}
    return {**found, "accuracy": accuracy, "data": data}


def test_cells_that_do_not_tell_the_whole_test_need_no_note():
    assert len(vtab_table([cell(test=10)]).notes) == 1
    assert "birds: 10 test images, not 20." in vtab_table([cell(test=10, test_of=20)]).notes


def test_a_row_has_as_many_seeds_as_its_task_with_the_fewest():
    table = vtab_table([cell(seed=seed) for seed in range(3)] + [cell("frogs")])
    assert table.rows[0].seeds == 1
    assert "linear, embedded: 3 seeds, but fewer of frogs." in table.notes
    assert not any("fewer" in note for note in vtab_table([cell(), cell("frogs")]).notes)


def test_groups_of_ones_own_follow_those_of_vtab():
    assert groups_in_order(["zoo", "own", "structured", "natural"]) == ["natural", "structured", "own", "zoo"]
    cells = [cell("kitti", "structured"), cell()]
    assert vtab_table(cells).tasks == vtab_table(cells[::-1]).tasks == ("kitti", "birds")


def test_published_rows_are_not_said_to_be_under_way():
    published = (PublishedRow("theirs", "a paper", True, {"kitti": 50.0}),)
    notes = vtab_table([cell("kitti", "structured"), cell()], published=published).notes
    assert "theirs: a paper." in notes and not any(" yet;" in note for note in notes)


@pytest.mark.parametrize("lone", ["train800.txt", "val200.txt"])
def test_a_list_of_one_part_alone_is_not_half_of_the_images(tmp_path, lone):
    for name, n in (("train800val200.txt", 1000), ("test.txt", 711), (lone, 5)):
        (tmp_path / name).write_text("".join(f"images/{i}.jpg {i % 4}\n" for i in range(n)))
    assert len(read_lists(tmp_path, definition("kitti")).train) == 1000
