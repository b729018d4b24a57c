"""Folders and zips with more in them than the data."""

from __future__ import annotations

import errno
import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset

from head2toe.data import as_images, files, read_data
from head2toe.errors import DataFormatError, EmptyDataError, MissingLabelError, UnreadableImageError


def png(value: int = 0) -> bytes:
    held = io.BytesIO()
    Image.new("L", (3, 2), value).save(held, "png")
    return held.getvalue()


def folder_of(folder: Path, *names: str, **texts: str) -> Path:
    """Pictures, and tables by the names before ".csv"."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png())
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def zip_of(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, held in members.items():
            archive.writestr(name, held)
    return path


def test_hidden_files_are_not_said_to_be_unread(tmp_path, caplog):
    folder_of(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".keep.txt").write_text("")
    assert read_data(tmp_path).labels == ["cat", "dog"]
    assert not caplog.records
    with pytest.raises(EmptyDataError) as caught:
        read_data(tmp_path / "empty")
    assert ".txt" not in str(caught.value)


def test_a_folder_that_is_called_like_a_table_is_none(tmp_path):
    folder_of(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / "labels.csv").mkdir()
    assert read_data(tmp_path).labels == ["cat", "dog"]


def test_a_hidden_table_is_not_read(tmp_path):
    folder_of(tmp_path, "cat/a.png", "dog/b.png")
    (tmp_path / ".old.csv").write_text("path,label\ncat/a.png,tom\n")
    assert read_data(tmp_path).labels == ["cat", "dog"]


def test_of_two_tables_none_is_the_data(tmp_path):
    table = "path,label\ncat/a.png,tom\n"
    assert read_data(folder_of(tmp_path, "cat/a.png", "dog/b.png", one=table, two=table)).labels == ["cat", "dog"]


def test_the_only_table_may_be_one_of_tabs(tmp_path):
    assert read_data(folder_of(tmp_path, "cat/a.png", "dog/b.png", one="path\tlabel\ncat/a.png\ttom\n")).labels == [
        "tom"
    ]


def test_predictions_beside_the_pictures_are_no_list_of_them(tmp_path):
    folder_of(tmp_path, "a.png", "b.png", predictions="path,class,probability\na.png,cat,0.9\n")
    assert len(read_data(tmp_path)) == 2


@pytest.mark.parametrize("pack", [False, True])
def test_what_macos_leaves_in_archives_is_no_class(tmp_path, pack):
    names = ("cat/a.png", "dog/b.png", "__MACOSX/c.png")
    packed = zip_of(tmp_path / "a.zip", dict.fromkeys(names, png())) if pack else folder_of(tmp_path, *names)
    assert read_data(packed).labels == ["cat", "dog"]


def test_a_class_may_be_called_like_a_split(tmp_path):
    assert read_data(folder_of(tmp_path, "cat/a.png", "test/b.png")).labels == ["cat", "test"]


def test_a_picture_beside_the_splits_is_named(tmp_path):
    folder_of(tmp_path, "train/cat/a.png", "test/cat/b.png", "stray.png")
    with pytest.raises(MissingLabelError, match=r"stray\.png lies beside"):
        read_data(tmp_path).known_labels()


def test_a_class_without_pictures_is_told_once_and_for_its_split(tmp_path, caplog):
    folder_of(tmp_path, "train/cat/a.png", "test/cat/b.png")
    for name in ("train/bird/a.heic", "train/bird/b.heic", "test/fish/c.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert read_data(tmp_path, split="train").labels == ["cat"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and "the folder bird " in told[0]


def test_texts_of_a_folder_that_is_called_like_a_table(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataFormatError, match="texts are read from a CSV"):
        read_data(tmp_path / "a.csv", takes="texts")


def test_an_encrypted_zip_is_told(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"cat/a.png": png()})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the zip's directory
    path.write_bytes(data)
    with pytest.raises(DataFormatError, match="is encrypted"):
        read_data(path)


def test_a_member_too_large_for_an_image_is_not_unpacked(tmp_path, monkeypatch):
    data = read_data(zip_of(tmp_path / "a.zip", {"cat/a.png": png()}))
    assert data[0].size == (3, 2)
    monkeypatch.setattr(files, "_MOST_BYTES", 10)
    with pytest.raises(UnreadableImageError, match="too many for an image"):
        data[0]


@pytest.mark.parametrize(
    ("members", "labels"),
    [
        ({"pets/labels.csv": "path,label\na.png,tom\n", "pets/a.png": png()}, ["tom"]),  # all in a folder
        ({"cat/a.png": png(), "cat/b.png": png()}, ["cat", "cat"]),  # a single class
        ({"cat/a.png": png(), "cat/notes/b.csv": "path,label\n"}, ["cat"]),  # a table of its own deep in it
        ({"cat/a.png": png(), "dog/b.png": png(), "cat/b.csv": "path,label\na.png,tom\n"}, ["cat", "dog"]),
    ],
)
def test_where_the_data_of_a_zip_begin(tmp_path, members, labels):
    assert read_data(zip_of(tmp_path / "a.zip", members)).labels == labels


def test_a_backslash_in_a_name_is_a_separator_on_windows_alone(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for system, name in ((3, "cat/a\\b.png"), (0, "dog\\c.png")):
            member = zipfile.ZipInfo("x")
            member.filename, member.create_system = name, system
            archive.writestr(member, png())
    data = read_data(tmp_path / "a.zip")
    assert data.names == ["cat/a\\b.png", "dog/c.png"] and data.labels == ["cat", "dog"]


def test_the_identity_of_a_member_is_its_checksum_and_size(tmp_path):
    data = read_data(zip_of(tmp_path / "a.zip", {"cat/a.png": png(7)}))
    assert data.identity(0) == f"{zlib.crc32(png(7)):08x} {len(png(7))}"
    assert np.asarray(data[0]).max() == 7


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_no_image_that_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"a\.png: a pipe, not a file"):
        read_data(tmp_path).images[0]


@pytest.mark.parametrize(("stored", "read"), [("Käse".encode(), "Käse"), (b"K\x84se", "Käse")], ids=["utf-8", "cp437"])
def test_names_in_a_zip_that_does_not_say_their_encoding(tmp_path, stored, read):
    """As `zip` on Linux and macOS writes them, and as old programs did."""
    plain = zip_of(tmp_path / "a.zip", {"x" * len(stored) + "/1.png": png(), "dog/1.png": png()}).read_bytes()
    (tmp_path / "a.zip").write_bytes(plain.replace(b"x" * len(stored) + b"/", stored + b"/"))
    data = read_data(tmp_path / "a.zip")
    assert sorted(data.labels or []) == [read, "dog"] and data.images[0].size == (3, 2)


def test_a_zip_of_impossible_names_is_damaged(tmp_path):
    whole = zip_of(tmp_path / "a.zip", {"ä/1.png": png()}).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole.replace("ä".encode(), b"\xff\xfe"))
    with pytest.raises(DataFormatError, match="damaged"):
        read_data(tmp_path / "a.zip")


def test_a_damaged_member_of_any_compression_is_one_image_less(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("cat/1.png", png())
        archive.writestr("dog/1.png", png(9))
        info = archive.getinfo("cat/1.png")
    held = bytearray((tmp_path / "a.zip").read_bytes())
    start = info.header_offset + 30 + len("cat/1.png") + 9  # behind the header and LZMA's own
    held[start : start + 20] = b"\xff" * 20
    (tmp_path / "a.zip").write_bytes(held)
    data = read_data(tmp_path / "a.zip")
    with pytest.raises(UnreadableImageError, match=r"cat/1\.png"):
        data.images[0]
    assert data.images[1].size == (3, 2)


@pytest.mark.parametrize("labelled", [False, True])
def test_pictures_that_are_not_read_are_counted(tmp_path, caplog, labelled):
    where = tmp_path / "cats" if labelled else tmp_path
    folder_of(where, "1.png")
    for name in ("2.HEIC", "3.heic", "4.txt"):
        (where / name).write_bytes(b"x")
    assert len(read_data(tmp_path).images) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 2 files end in .heic, which is not read: convert them to .jpg or .png"
    ]


def test_a_single_picture_has_no_split(tmp_path):
    with pytest.raises(DataFormatError, match="no split test"):
        read_data(folder_of(tmp_path, "1.png") / "1.png", split="test")


class FailingDataset(Dataset):
    """As those of folders are: an item is read when it is asked for."""

    def __init__(self, readers):
        self.readers = readers

    def __len__(self):
        return len(self.readers)

    def __getitem__(self, i):
        return self.readers[i](f"{i + 1}.png"), 0


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_disk_that_fails_for_a_while_leaves_no_image_out(tmp_path, monkeypatch, code):
    """The rows of the others would be kept as if it were damaged, and it never looked at again."""

    def failing(place):
        raise OSError(code, os.strerror(code), str(place))

    data = read_data(folder_of(tmp_path, "1.png"))
    monkeypatch.setattr("head2toe.data.images.bytes_of", failing)
    dataset = FailingDataset([failing])
    for images in (data.images, as_images(dataset)):
        with pytest.raises(OSError, match=r"1\.png") as found:
            images[0]
        assert not isinstance(found.value, UnreadableImageError)
