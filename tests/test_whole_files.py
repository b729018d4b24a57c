"""A file is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from head2toe.whole_files import replacing, write_text


def test_an_error_on_the_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write_text(path, "old\r\nlines\n")

    def half() -> None:
        with replacing(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert path.read_bytes() == b"old\r\nlines\n" and list(tmp_path.iterdir()) == [path]


def test_the_file_beside_has_the_same_ending_and_takes_the_place(tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    with replacing(path) as beside:
        assert beside.suffix == ".svg" and beside.parent == tmp_path
        beside.write_text("<svg/>")
    assert path.read_text() == "<svg/>" and list(tmp_path.iterdir()) == [path]
