"""`head2toe predict` where data and probe are not as they were: labels, names of files, places of weights."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

from head2toe.cli import main


def test_labels_that_are_still_to_be_found_are_no_hindrance(run, probe, folder, tmp_path):
    pictures = sorted(folder.rglob("*.png"))[:3]
    lines = [f"{path},{path.parent.name if i else ''}" for i, path in enumerate(pictures)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    assert len(list(csv.DictReader(io.StringIO(run("predict", probe, tmp_path / "t.csv").out)))) == 3
    done = run("evaluate", probe, tmp_path / "t.csv")
    assert done.code == 2 and "t.csv, line 2: no label" in done.err[0]


def test_what_it_wrote_beside_the_pictures_is_no_list_of_them(run, probe, folder):
    first = run("predict", probe, folder, "--out", folder / "answers.csv")
    again = run("predict", probe, folder, "--json")
    assert (first.code, again.code) == (0, 0) and again.json["n"] == 30


def test_nothing_that_can_be_read_is_a_mistake(run, probe, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    done = run("predict", probe, tmp_path / "a.png", "--out", tmp_path / "answers.csv")
    assert done.code == 2 and "none of the 1 images can be read" in done.err[-1]
    assert not (tmp_path / "answers.csv").exists()


def test_names_of_files_that_are_no_text(run, fit, probe, folder, tmp_path, monkeypatch):
    odd = os.fsencode(folder / "left") + b"/caf\xe9.png"
    with open(odd, "wb") as file:  # noqa: PTH123 - bytes are no path for pathlib
        file.write(next(folder.rglob("*.png")).read_bytes())
    assert fit(folder, tmp_path / "probe").code == 0
    assert run("predict", probe, folder, "--out", tmp_path / "answers.csv").code == 0
    assert odd in (tmp_path / "answers.csv").read_bytes()
    shown = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", shown)
        assert main(["predict", str(probe), str(folder)]) == 0
        assert odd in shown.buffer.getvalue() and shown.errors == "strict"
        shown.buffer.truncate(0)
        shown.buffer.seek(0)
        assert main(["predict", str(probe), str(folder), "--json"]) == 0
    names = [one["path"] for one in json.loads(shown.buffer.getvalue().decode("utf-8"))["predictions"]]
    assert os.fsdecode(odd) in names  # JSON is UTF-8, whatever a name is


def test_a_file_of_weights_is_found_from_another_folder_and_after_it_has_moved(
    run, fit, backbone, folder, tmp_path, monkeypatch
):
    own = Path(backbone.partition("local-dir:")[2]) / "model.safetensors"
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    shutil.copy(own, tmp_path / "here" / "w.safetensors")
    monkeypatch.chdir(tmp_path / "here")
    assert fit(folder, tmp_path / "probe", "--weights", "w.safetensors").code == 0
    monkeypatch.chdir(tmp_path / "there")
    answers = run("predict", tmp_path / "probe", folder)
    assert answers.code == 0
    moved = shutil.move(tmp_path / "here" / "w.safetensors", tmp_path / "there")
    assert "no weights file" in run("predict", tmp_path / "probe", folder).err[0]
    for options in (("--weights", moved), ("--backbone", backbone)):
        assert run("predict", tmp_path / "probe", folder, *options).out == answers.out
