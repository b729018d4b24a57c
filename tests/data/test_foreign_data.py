"""Data as other programs write them, and as other users leave them."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from head2toe.data import read_data
from head2toe.errors import DataFormatError, MissingLabelError

PIXELS = np.zeros((3, 4, 5), np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name in ("cat/a.png", "dog/b.png"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 3)).save(tmp_path / "pets" / name)
    return tmp_path / "pets"


@pytest.mark.parametrize(("above", "separator"), [("/pets", "/"), ("../pets", "/"), ("pets", "\\")])
def test_a_zip_with_a_root_or_with_backslashes(folder, above, separator):
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            member = zipfile.ZipInfo()
            member.filename = separator.join((above, file.parent.name, file.name))
            member.create_system = 0  # Windows
            archive.writestr(member, file.read_bytes())
    data = read_data(folder.with_suffix(".zip"))
    assert data.labels == ["cat", "dog"] and data[1].size == (4, 3)


def test_a_zip_of_windows_with_folders_and_a_table(folder):
    """Members that are folders, or nothing at all, are no files; its table may write paths as the members are."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for name in ("\\", ".\\", ".", "..", "cat\\", "dog\\", "cat\\a.png", "dog\\b.png", "labels.csv"):
            member = zipfile.ZipInfo()
            member.filename, member.create_system = name, 0
            table = b"path,label\ncat\\a.png,tom\ndog\\b.png,rex\n"
            picture = (folder / name.replace("\\", "/")).read_bytes() if name.endswith(".png") else b""
            archive.writestr(member, table if name == "labels.csv" else picture)
    data = read_data(folder.with_suffix(".zip"))
    assert data.labels == ["tom", "rex"] and data[1].size == (4, 3)


def test_labels_in_a_column(tmp_path):
    """So does MedMNIST keep them."""
    np.savez(tmp_path / "a.npz", train_images=PIXELS, train_labels=np.array([[2], [0], [2]], np.uint8))
    assert read_data(tmp_path / "a.npz").labels == ["2", "0", "2"]
    np.savez(tmp_path / "b.npz", images=PIXELS, labels=np.eye(3))
    with pytest.raises(DataFormatError, match=r"labels of .*b\.npz: labels have shape \(3, 3\)"):
        read_data(tmp_path / "b.npz")


def test_a_folder_that_may_not_be_listed_is_told(folder, monkeypatch, caplog):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may list all
    assert read_data(folder).labels == ["cat"]
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{folder / 'dog'} cannot be listed (permission denied): what lies in it is left out"]


def test_labels_in_a_column_of_another_name(folder):
    (folder / "list.csv").write_text("path,class\ncat/a.png,cat\ndog/b.png,dog\n")
    with pytest.raises(MissingLabelError, match=r"a column of another name \(label= or --label\)"):
        read_data(folder / "list.csv").with_labels()
    assert read_data(folder / "list.csv", label="class").labels == ["cat", "dog"]


COMPOSED, DECOMPOSED = "M\u00fcll", "Mu\u0308ll"  # which look alike


def test_folders_of_a_mac_are_the_classes_of_a_table(tmp_path):
    """macOS writes letters and their dots apart, into zips too."""
    for folder in ("Glas", DECOMPOSED):
        (tmp_path / "waste" / folder).mkdir(parents=True)
        Image.new("RGB", (4, 3)).save(tmp_path / "waste" / folder / "a.png")
    assert read_data(tmp_path / "waste").labels == ["Glas", COMPOSED]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted((tmp_path / "waste").rglob("*.png")):
            archive.write(file, f"{file.parent.name}/a.png")
    assert read_data(tmp_path / "a.zip").labels == ["Glas", COMPOSED]
    lines = f"path,label\nwaste/Glas/a.png,{COMPOSED}\nwaste/Glas/a.png,{DECOMPOSED}\n"
    (tmp_path / "list.csv").write_text(lines, encoding="utf-8")
    assert read_data(tmp_path / "list.csv").labels == [COMPOSED, COMPOSED]
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=["Glas", COMPOSED, DECOMPOSED])
    assert read_data(tmp_path / "a.npz").labels == ["Glas", COMPOSED, COMPOSED]


def test_one_patient_in_two_forms_is_one_group(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    lines = f"path,label,patient\na.png,cat,{COMPOSED}\na.png,dog,{DECOMPOSED}\n"
    (tmp_path / "list.csv").write_text(lines, encoding="utf-8")
    assert read_data(tmp_path / "list.csv", groups="patient").groups == [COMPOSED, COMPOSED]
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=["a", "b", "a"], patient=["x", COMPOSED, DECOMPOSED])
    assert read_data(tmp_path / "a.npz", groups="patient").groups == ["x", COMPOSED, COMPOSED]


def test_a_class_with_dots_is_not_told_as_empty(tmp_path, caplog):
    (tmp_path / "waste" / DECOMPOSED).mkdir(parents=True)
    Image.new("RGB", (4, 3)).save(tmp_path / "waste" / DECOMPOSED / "a.png")
    (tmp_path / "waste" / DECOMPOSED / "remarks.txt").write_text("x")
    assert read_data(tmp_path / "waste").labels == [COMPOSED] and not caplog.records
