"""Files that a link or a long name stands for, and a disk without room for them."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from test_probe_folder import head, probe

from head2toe.artifacts import load_probe, save_probe
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


def test_a_probe_that_several_save_and_read_at_once_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    versions = {name: replace(probe(), head=head([0, 2, 9], seed=seed), version=name) for seed, name in enumerate("ab")}
    coef = {}
    for name, one in versions.items():
        save_probe(tmp_path / name, one)
        coef[name] = load_probe(tmp_path / name).head.coef

    def save(name: str) -> None:
        for _ in range(30):
            save_probe(tmp_path / "probe", versions[name], overwrite=True)

    save("a")
    with ThreadPoolExecutor(3) as pool:
        saving = [pool.submit(save, name) for name in versions]
        while not all(one.done() for one in saving):
            found = load_probe(tmp_path / "probe")
            assert torch.equal(found.head.coef, coef[found.version])
        for one in saving:
            one.result()
    assert {path.name for path in (tmp_path / "probe").iterdir()} == {"probe.json", "probe.safetensors"}


def test_a_lock_of_somebody_else_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder around the probe is not ours: systemd holds locks on /tmp, for one."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(import_module("head2toe.artifacts.folder"), "_LONGEST_SAVE", 0.1)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        save_probe(tmp_path / "probe", probe())
        assert len(load_probe(tmp_path / "probe").classes)
    finally:
        os.close(handle)


def test_what_cannot_be_described_makes_no_folder(tmp_path: Path) -> None:
    odd = replace(probe(), costs={"flops": object()})
    with pytest.raises(TypeError):
        save_probe(tmp_path / "new" / "probe", odd)
    assert not any(tmp_path.iterdir())
