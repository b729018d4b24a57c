"""The files of an experiment: all of one run, and the record only where all others are."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from head2toe.benchmark.experiments import find
from head2toe.benchmark.experiments.running import write
from head2toe.errors import DiskFullError

ENDINGS = ("csv", "json", "png", "svg")
NAME = "target-size"


def result(accuracy, task="mine"):
    common = {"task": task, "backbone": "b", "features": 3, "strength": 0.1, "cv_accuracy": 1.0, "standard_error": 1.0}
    rows = [{**common, "target_size": size, "fraction": 0.1, "accuracy": accuracy} for size in (2, 8)]
    return {"experiment": NAME, "rows": [{key: row.get(key) for key in find(NAME).columns} for row in rows]}


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def out(tmp_path):
    write(find(NAME), result(40.0), tmp_path, tmp_path)
    assert sorted(files(tmp_path)) == [f"{NAME}.{ending}" for ending in ENDINGS]
    return tmp_path


@pytest.mark.parametrize("what", ["draw", "nan"])
def test_a_run_that_fails_leaves_those_of_the_one_before(out, what):
    def broken(_):
        raise ZeroDivisionError

    before = files(out)
    chosen = replace(find(NAME), draw=broken) if what == "draw" else find(NAME)
    with pytest.raises((ZeroDivisionError, ValueError)):
        write(chosen, {**result(60.0), "seconds": float("nan") if what == "nan" else 1.0}, out, out)
    assert files(out) == before


@pytest.mark.parametrize("after", range(4))
def test_where_the_record_is_all_files_are_of_its_run(out, after, monkeypatch):
    real, placed = Path.replace, []

    def stopped(self, target):
        if len(placed) == after:
            raise KeyboardInterrupt
        placed.append(Path(target).suffix)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write(find(NAME), result(60.0), out, out)
    assert not (out / f"{NAME}.json").exists() and ".json" not in placed
    monkeypatch.undo()
    write(find(NAME), result(60.0), out, out)
    assert sorted(files(out)) == [f"{NAME}.{ending}" for ending in ENDINGS]
    assert json.loads((out / f"{NAME}.json").read_text())["rows"][0]["accuracy"] == 60


def test_a_full_disk_is_told_and_nothing_is_replaced(out, monkeypatch):
    real, before = Path.write_bytes, files(out)

    def full(self, content):
        if self.suffix == ".svg":
            raise OSError(28, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError, match=r"target-size\.svg cannot be written: No space left"):
        write(find(NAME), result(60.0), out, out)
    assert files(out) == before


def test_a_record_that_is_a_link_stays_one(out, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "record.json"
    (out / f"{NAME}.json").rename(elsewhere)
    (out / f"{NAME}.json").symlink_to(elsewhere)
    write(find(NAME), result(60.0), out, out)
    assert (out / f"{NAME}.json").is_symlink() and json.loads(elsewhere.read_text())["rows"][0]["accuracy"] == 60


def test_a_name_that_is_no_text_is_written_as_its_bytes(tmp_path):
    name = os.fsdecode(b"bad\xff")
    write(find(NAME), result(40.0, task=name), tmp_path, tmp_path)
    assert b"\nbad\xff," in (tmp_path / f"{NAME}.csv").read_bytes()
    with (tmp_path / f"{NAME}.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert {row["task"] for row in csv.DictReader(file)} == {name}
    assert json.loads((tmp_path / f"{NAME}.json").read_text(encoding="utf-8"))["rows"][0]["task"] == name
    assert rb"bad\xff" in (tmp_path / f"{NAME}.svg").read_bytes()
