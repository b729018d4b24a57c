"""Tables and arrays with gaps, repeats and more than one way to be read."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from head2toe.data import read_data
from head2toe.data.table import read_table
from head2toe.errors import DataError, DataFormatError, MissingLabelError

PIXELS = np.zeros((3, 4, 5), np.uint8)


def rows(text, **options):
    return read_table(text.encode(), "a.csv", **options)


def test_a_row_without_a_group_is_refused_if_it_is_read(tmp_path):
    """Of test images nobody needs to know what belongs together."""
    table = tmp_path / "a.csv"
    table.write_text("path,film,split\na.png,1,train\nb.png,,test\n")
    for name in ("a.png", "b.png"):
        Image.new("L", (3, 2)).save(tmp_path / name)
    assert read_data(table, split="train", groups="film").groups == ["1"]
    with pytest.raises(DataFormatError, match=r"a\.csv, line 3: no film"):
        read_data(table, split="test", groups="film")


@pytest.mark.parametrize("text", ["path,label\na.png,cat\n", "nothing,of use\na,b\n", "path\n"])
def test_the_limit_of_csv_is_left_as_it_was(text):
    before = csv.field_size_limit(4321)
    try:
        with contextlib.suppress(DataError):  # the second and third are refused
            rows(text)
        assert csv.field_size_limit() == 4321
    finally:
        csv.field_size_limit(before)


def test_names_that_share_a_number_are_no_classes():
    """As many names as numbers, and yet not one to one."""
    found = rows("path,label,class_name\na.png,0,cat\nb.png,1,dog\nc.png,0,dog\n")
    assert [row.label for row in found] == ["0", "1", "0"]


def test_empty_cells_beyond_the_columns_are_nothing():
    """As spreadsheets leave them."""
    assert [row.label for row in rows("path,label\na.png,cat,,\nb.png,dog\n")] == ["cat", "dog"]
    with pytest.raises(DataFormatError, match="line 2: more cells than columns"):
        rows("path,label\na.png,cat,,x\n")


def test_rows_without_a_split_belong_to_none(tmp_path):
    for name in "abc":
        Image.new("L", (3, 2)).save(tmp_path / f"{name}.png")
    (tmp_path / "a.csv").write_text("path,label,split\na.png,x,train\nb.png,y,\nc.png,z,train\n")
    assert read_data(tmp_path / "a.csv").labels == ["x", "y", "z"]  # there is no choice to make
    assert read_data(tmp_path / "a.csv", split="train").labels == ["x", "z"]


def test_labels_of_bytes_may_be_missing(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=np.array([b"x", b"", b"y"]))
    with pytest.raises(MissingLabelError, match="1 labels are empty or NaN, the first at 1"):
        read_data(tmp_path / "a.npz").known_labels()


def test_the_array_that_is_named_for_the_split_goes_first(tmp_path):
    train = {"train_images": PIXELS, "train_label_hue": [1, 2, 3], "train_film": [0, 0, 1]}
    np.savez(tmp_path / "a.npz", **train, test_images=PIXELS, hue=[7, 8, 9], film=[5, 6, 7])
    found = read_data(tmp_path / "a.npz", split="train", label="hue", groups="film")
    assert found.labels == ["1", "2", "3"] and found.groups == ["0", "0", "1"]


def test_more_groups_than_images_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, film=[5, 6, 7, 8])
    with pytest.raises(DataFormatError, match="3 images but 4 film"):
        read_data(tmp_path / "a.npz", groups="film")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('text,label\na cat,1\n"a dog,2\na bird,1\n', 3),
        ('text,label\n"Yes" he said,1\na dog,2\n', 2),
        ('text,label\n"Yes,\n\nI do" he said,1\na dog,2\n', 2),
        ('"text,label\na cat,1\n', 1),
    ],
)
def test_a_quote_that_does_not_close_swallows_no_row(text, line):
    with pytest.raises(DataFormatError, match=rf"a\.csv, line {line}, is no CSV \(.*\): put cells with quotes"):
        rows(text, wanted=("text",))


def test_quotes_within_a_cell_are_part_of_it():
    found = rows('text,label\n5" pipe,1\n"He said ""yes""",2\n', wanted=("text",))
    assert [row.file for row in found] == ['5" pipe', 'He said "yes"']


def test_spaces_behind_a_closing_quote_are_none_of_the_cell():
    found = rows('"path" , "label"\n"a.png","cat" \nb.png,dog\n"c.png","cat" ')
    assert [(row.file, row.label) for row in found] == [("a.png", "cat"), ("b.png", "dog"), ("c.png", "cat")]
    (row,) = rows('text,label\n"he said ""yes"" , twice" ,1\n', wanted=("text",))
    assert row.file == 'he said "yes" , twice'


def test_quotes_behind_a_space_are_none_of_the_label():
    found = rows('"path", "label"\n"a.png", "cat, black"\n b.png , dog\n')
    assert [(row.file, row.label) for row in found] == [("a.png", "cat, black"), ("b.png", "dog")]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["NaT", "2020-01-01", "2020-01-01"], "M8[D]"),
        np.zeros(3, [("a", int)]),
        np.array([1j, 2, 3]),
    ],
)
def test_labels_that_are_neither_text_nor_numbers(tmp_path, labels):
    """A date that is missing would be a class of its own."""
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=labels)
    with pytest.raises(DataFormatError, match=r"labels of .*a\.npz: labels are of .*: store text or numbers"):
        read_data(tmp_path / "a.npz")


def test_an_npz_without_labels_tells_what_it_has(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, targets=[0, 1, 2])
    with pytest.raises(
        MissingLabelError, match=r"a\.npz has no labels: it has images, targets; .* \(label= or --label\)"
    ):
        read_data(tmp_path / "a.npz").with_labels()
    assert read_data(tmp_path / "a.npz", label="targets").labels == ["0", "1", "2"]


@pytest.mark.parametrize("blank", ["\n", "\r\n \r\n", "\t\n\n\n"])
def test_blank_lines_above_the_header_are_left_out_and_counted(blank):
    (row,) = rows(f"{blank}path,label\na.png,cat\n")
    assert (row.file, row.label, row.line) == ("a.png", "cat", blank.count("\n") + 2)
    with pytest.raises(DataFormatError, match=f"line {blank.count(chr(10)) + 2}: more cells"):
        rows(f"{blank}path,label\na.png,cat,x\n")


@pytest.mark.parametrize("member", ["images", "labels"])
@pytest.mark.parametrize("held", [b"", b"0 1 2\n"])
def test_members_of_an_npz_that_are_no_arrays_are_refused(tmp_path, member, held):
    np.savez(tmp_path / "whole.npz", images=PIXELS, labels=[0, 1, 0])
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "a.npz", "w") as other:
        for name in whole.namelist():
            other.writestr(name, held if name == f"{member}.npy" else whole.read(name))
    with pytest.raises(DataFormatError, match=rf"{member}( of .*)?: no array but {len(held)} other bytes"):
        read_data(tmp_path / "a.npz")


@pytest.mark.parametrize("written", ["img\\Ka\u0308se.png", "img/K\u00e4se.png"], ids=["windows", "composed"])
@pytest.mark.parametrize("there", ["K\u00e4se.png", "Ka\u0308se.png"], ids=["composed", "decomposed"])
def test_a_name_may_be_spelled_as_another_system_does(tmp_path, written, there):
    (tmp_path / "img").mkdir()
    Image.new("L", (3, 2)).save(tmp_path / "img" / there)
    (tmp_path / "a.csv").write_text(f"path,label\n{written},x\n", encoding="utf-8")
    assert read_data(tmp_path / "a.csv").images[0].size == (3, 2)


def test_an_npz_beyond_memory_is_told(tmp_path):
    """Its header says how much it would take."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 5, 5)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(DataFormatError, match="does not fit into memory"):
        read_data(tmp_path / "a.npz")
