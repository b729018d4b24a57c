"""Files that a system leaves beside pictures are no pictures of VTAB's folders."""

from __future__ import annotations

from pathlib import Path

from head2toe.benchmark.vtab import photographs


def test_a_hidden_file_is_no_picture(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "._a.jpg", ".b.png", "notes.txt"):
        (tmp_path / name).touch()
    assert photographs._images(tmp_path) == ["a.PNG", "b.jpg"]
