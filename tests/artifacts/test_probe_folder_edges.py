"""What a probe folder never is: half written, waited for by readers, or read with columns that are not there."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from test_probe_folder import probe

from head2toe.artifacts import load_probe, save_probe
from head2toe.errors import DiskFullError, ProbeFormatError

FOLDER = import_module("head2toe.artifacts.folder")


def test_a_description_is_never_there_without_its_tensors(tmp_path, monkeypatch):
    """Whoever looks between two moves, without a lock, finds no probe or a whole one."""
    place, moved, seen = tmp_path / "probe", Path.replace, []
    save_probe(place, probe())

    def watched(path, target):
        found = moved(path, target)
        seen.append((place / "probe.safetensors").is_file() or not (place / "probe.json").is_file())
        return found

    monkeypatch.setattr(Path, "replace", watched)
    save_probe(place, probe(), overwrite=True)
    assert len(seen) == 4 and all(seen)


def test_readers_do_not_wait_for_one_another(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    save_probe(tmp_path / "probe", probe())

    def waited(_):
        raise AssertionError("a reader waited")

    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)  # as another reader does
        monkeypatch.setattr(time, "sleep", waited)
        assert len(load_probe(tmp_path / "probe").classes)
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    "error", [OSError(errno.EDQUOT, "Disk quota exceeded"), SafetensorError("IO error: No space left on device")]
)
def test_no_room_is_told_however_it_is_said(tmp_path, monkeypatch, error):
    def full(*args, **kwargs):
        raise error

    monkeypatch.setattr(FOLDER, "save_file", full)
    with pytest.raises(DiskFullError, match="no room on the disk"):
        save_probe(tmp_path / "probe", probe())


def test_files_are_written_within_a_folder_that_is_there(tmp_path, monkeypatch):
    """It may be a mount point: another disk than the one that it stands on."""
    (tmp_path / "probe").mkdir()
    places = []

    def watched(tensors, path, **options):
        places.append(path)
        save_file(tensors, path, **options)

    monkeypatch.setattr(FOLDER, "save_file", watched)
    save_probe(tmp_path / "probe", probe())
    assert [path.parent.parent for path in places] == [tmp_path / "probe"]
    assert sorted(path.name for path in (tmp_path / "probe").iterdir()) == ["probe.json", "probe.safetensors"]


def described(place: Path, change: Callable[[dict], None]) -> None:
    description = json.loads((place / "probe.json").read_text())
    change(description)
    (place / "probe.json").write_text(json.dumps(description))


def indices(place: Path, values: list[int]) -> None:
    tensors = load_file(place / "probe.safetensors")
    tensors["head.indices"] = tensors["head.indices"].new_tensor(values)
    save_file(tensors, place / "probe.safetensors")


def shifted(*ends: str) -> Callable[[dict], None]:
    def change(description):
        for end in ends:
            description["plan"]["blocks"][0][end] += 1

    return change


DAMAGE = {
    "classes in a table": lambda d: d["classes"].update(labels=[[one] for one in d["classes"]["labels"]]),
    "no schema yet": lambda d: d.update(schema=0),
    "a block that begins too late": shifted("start"),
    "a block that is moved": shifted("start", "stop"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_description_that_cannot_be_is_refused(tmp_path, damage):
    save_probe(tmp_path / "probe", probe())
    described(tmp_path / "probe", DAMAGE[damage])
    with pytest.raises(ProbeFormatError, match=r"its (classes|schema|columns of layer)"):
        load_probe(tmp_path / "probe")


def test_columns_before_the_first_and_after_the_last_are_refused(tmp_path):
    save_probe(tmp_path / "probe", probe())
    d = load_probe(tmp_path / "probe").plan.d
    indices(tmp_path / "probe", [0, 1, d - 1])
    assert load_probe(tmp_path / "probe").head.indices.tolist() == [0, 1, d - 1]
    for wrong in ([-1, 1, 2], [0, 1, d]):
        indices(tmp_path / "probe", wrong)
        with pytest.raises(ProbeFormatError, match="not ascending columns below"):
            load_probe(tmp_path / "probe")


def test_an_accuracy_may_be_written_as_a_whole_number(tmp_path):
    """As JavaScript, for one, writes 1.0."""
    save_probe(tmp_path / "probe", probe())
    described(tmp_path / "probe", lambda d: d.update(cv_accuracy=1))
    assert load_probe(tmp_path / "probe").cv_accuracy == 1


def test_a_layer_without_a_shape_is_damage(tmp_path):
    place = tmp_path / "probe"
    save_probe(place, probe())
    described = json.loads((place / "probe.json").read_text())
    for layer in described["plan"]["layers"]:
        layer["shape"] = []
    (place / "probe.json").write_text(json.dumps(described))
    with pytest.raises(ProbeFormatError, match="is damaged"):
        load_probe(place)
