from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from head2toe.benchmark.experiments import NAMES, find, style
from head2toe.benchmark.experiments.running import run_experiment
from head2toe.benchmark.experiments.task_study import TaskStudy
from head2toe.errors import MissingDependencyError, ParameterError

TASKS = ("affinity", "other-task")  # need two tasks


@pytest.fixture(scope="module")
def results(laboratory, tmp_path_factory):
    """Every experiment, run when a test first asks for it."""
    out, found = tmp_path_factory.mktemp("experiments"), {}

    def result(name):
        if name not in found:
            found[name] = run_experiment(name, laboratory, out / "data", out / "figures")
        return found[name], out

    return result


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_writes_its_columns_and_its_figure(name, results):
    result, out = results(name)
    with (out / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == find(name).columns
    assert len(table) == len(result["rows"]) > 1
    assert {row["task"] for row in table} == {"first", "second"}
    for row in result["rows"]:
        assert all(0 <= row[key] <= 100 for key in ("accuracy", "cv_accuracy") if key in row)
    assert json.loads((out / "data" / f"{name}.json").read_text(encoding="utf-8"))["rows"] == result["rows"]
    with Image.open(out / "figures" / f"{name}.png") as picture:
        assert picture.width > 700 and np.asarray(picture.convert("L")).min() < 60
    assert (out / "figures" / f"{name}.svg").read_text(encoding="utf-8").count("</svg>") == 1
    assert not [path.name for path in out.rglob(".*")]


@pytest.mark.parametrize("name", NAMES)
def test_findings_are_sentences_about_the_rows(name, results):
    result, _ = results(name)
    assert result["findings"] == find(name).findings(result["rows"])
    assert all(sentence.endswith(".") and any(c.isdigit() for c in sentence) for sentence in result["findings"][:1])


def test_a_second_run_gives_the_same(laboratory, results, tmp_path):
    first, out = results("offset")
    again = run_experiment("offset", laboratory, tmp_path)
    assert again["rows"] == first["rows"]
    for end in ("svg", "png"):
        assert (tmp_path / f"offset.{end}").read_bytes() == (out / "figures" / f"offset.{end}").read_bytes()


def test_unknown_name():
    with pytest.raises(ParameterError, match="offset, scorers"):
        find("nothing")


@pytest.mark.parametrize("name", TASKS)
def test_one_task_is_too_few(name, laboratory, tmp_path):
    with pytest.raises(ParameterError, match="two tasks"):
        run_experiment(name, replace(laboratory, tasks=laboratory.tasks[:1]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_backbone_or_size_is_too_few(laboratory, tmp_path):
    with pytest.raises(ParameterError, match="--backbone"):
        run_experiment("backbones", replace(laboratory, specs={"tiny10": laboratory.specs["tiny10"]}), tmp_path)
    settings = replace(laboratory.settings, target_sizes=(16,))
    with pytest.raises(ParameterError, match="--target-size"):
        run_experiment("several-sizes", replace(laboratory, settings=settings), tmp_path)


def test_a_figure_that_cannot_be_drawn_is_told_before_anything_is_measured(laboratory, tmp_path, monkeypatch):
    def lacking():
        raise MissingDependencyError("figures need matplotlib")

    monkeypatch.setattr(style, "load", lacking)
    told = []
    with pytest.raises(MissingDependencyError):
        run_experiment("offset", replace(laboratory, progress=told.append, memory={}), tmp_path)
    assert not told and not list(tmp_path.iterdir())


def test_studies_of_further_sizes_do_not_fill_memory(laboratory, tmp_path):
    """Of nine tasks and a size of 2048 they would take many gigabytes."""
    other = replace(laboratory, memory={})
    run_experiment("target-size", other, tmp_path)
    studies = [one for one in other.memory.values() if isinstance(one, TaskStudy)]
    assert {tuple(study.columns.candidate_views()) for study in studies} == {(laboratory.settings.view,)}
    assert len(studies) == len(laboratory.tasks)
