"""Files that a link or a long name stands for, and a disk without room for them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from head2toe.errors import DiskFullError
from head2toe.whole_files import replacing, write_text


def test_a_link_is_written_through(tmp_path: Path) -> None:
    path, link = tmp_path / "elsewhere" / "notes.txt", tmp_path / "latest.txt"
    path.parent.mkdir()
    link.symlink_to(path)
    for text in ("new", "newer"):  # it may lead to nothing at first
        write_text(link, text)
        assert path.read_text() == text and link.is_symlink()
    assert list(path.parent.iterdir()) == [path]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("\N{HIRAGANA LETTER A}" * 83 + ".csv")  # 253 bytes of 255
    write_text(path, "a")
    assert path.read_text() == "a"


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    def full() -> None:
        with replacing(tmp_path / "notes.txt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as writing raises it, without a name

    with pytest.raises(DiskFullError, match=r"notes\.txt cannot be written"):
        full()
