"""Which columns of a CSV are read, and what is no data at all."""

from __future__ import annotations

import pytest
from PIL import Image

from head2toe.data import read_data
from head2toe.errors import DataFormatError, ParameterError


def put(path, value):
    Image.new("RGB", (4, 3), (value, 0, 0)).save(path)


def test_all_columns_may_be_capitalised_and_none_is_left_out_unseen(tmp_path):
    put(tmp_path / "a.png", 1)
    put(tmp_path / "b.png", 2)
    (tmp_path / "list.csv").write_text("Path,Class_Name,LABEL,Split\na.png,up,0,train\nb.png,down,1,test\n")
    for data in (tmp_path / "list.csv", tmp_path):  # the folder is read by the one list in it
        with pytest.raises(DataFormatError, match="has splits test, train: choose one"):
            read_data(data)
        assert read_data(data, split="train").labels == ["up"]


def test_a_column_that_is_spelt_so_goes_before_one_in_another_case(tmp_path):
    put(tmp_path / "a.png", 1)
    (tmp_path / "list.csv").write_text("path,Label,label\na.png,other,mine\n")
    assert read_data(tmp_path / "list.csv").labels == ["mine"]


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "list.csv").write_text("path,label, label\na.png,up,down\n")
    with pytest.raises(DataFormatError, match=r"list\.csv has two columns label"):
        read_data(tmp_path / "list.csv")


@pytest.mark.parametrize("path", [None, 3])
def test_what_is_no_path_is_told(path):
    with pytest.raises(DataFormatError, match="is no path"):
        read_data(path)


def test_an_unknown_kind_is_told(tmp_path):
    with pytest.raises(ParameterError, match="takes is 'pictures'"):
        read_data(tmp_path, takes="pictures")
