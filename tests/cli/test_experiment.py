"""`head2toe experiment`: the user's own data, with a training and a test split."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys

import pytest

from cli.conftest import write_folder
from head2toe.baselines import FineTuned


@pytest.fixture
def data(tmp_path):
    write_folder(tmp_path / "pictures" / "train", n=36)
    write_folder(tmp_path / "pictures" / "test", n=24, seed=1)
    return tmp_path / "pictures"


@pytest.fixture
def experiment(run, backbone, tmp_path):
    def experiment(name, data, *options):
        quick = ("--target-size", "8", "--target-size", "2", "--dtype", "float32", "--out", tmp_path / "out")
        return run("experiment", name, "--data", data, "--backbone", backbone, *quick, *options)

    return experiment


@pytest.mark.parametrize("arguments", [["experiment", "--help"], ["vtab", "list"]])
def test_a_list_does_not_wait_for_torch(arguments):
    program = f"import sys, head2toe.cli as c; c.main({arguments}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert any(name in done.stdout for name in ("one-layer", "clevr"))


def test_csv_and_figures_are_written(experiment, data, tmp_path):
    done = experiment("target-size", data)
    assert done.code == 0 and done.err == []
    assert done.out.startswith("Mean accuracy: ")
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == [f"target-size.{end}" for end in ("csv", "json", "png", "svg")]
    with (tmp_path / "out" / "target-size.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["task"], row["target_size"]) for row in csv.DictReader(file)] == [
            ("pictures", "2"),
            ("pictures", "8"),
        ]


def test_json_and_progress(experiment, data):
    done = experiment("offset", data, "--json", "--progress")
    assert done.code == 0 and done.json["backbones"] == ["tiny"]
    assert done.json["settings"]["target_sizes"] == [8, 2]
    assert any("rows of 36 train images" in line for line in done.err)
    assert (done.json["image_size"], done.json["dtype"]) == (None, "float32")


def test_the_record_tells_the_size_and_the_number_format_that_a_trial_found(experiment, data):
    done = experiment("offset", data, "--json", "--image-size", "40", "--dtype", "auto")
    assert done.json["image_size"] == 40 and done.json["dtype"] in ("float32", "bfloat16")


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", ["affine", "affinity"])
def test_a_damaged_image_is_told_before_a_network_is_trained(name, part, experiment, data, tmp_path, monkeypatch):
    monkeypatch.setattr(FineTuned, "fit", lambda *_, **__: pytest.fail("hours of training"))
    other = tmp_path / "others"
    shutil.copytree(data, other)
    damaged = min((other / part).rglob("*.png"))
    damaged.write_bytes(damaged.read_bytes()[:50])
    done = experiment(name, data, "--data", other, "--side", "32", "--steps", "1")
    assert done.code == 2 and len(done.err) == 1
    assert f"a {part} image cannot be read" in done.err[0] and damaged.name in done.err[0]


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("nothing", (), "nothing"),
        ("backbones", (), "--backbone twice"),
        ("other-task", (), "two tasks"),
        ("offset", ("--test-split", "train"), "would be the same"),
        ("affine", ("--image-size", "32"), "use --side, not --image-size"),
        ("offset", ("--test-split", "validation"), "validation"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(name, options, what, experiment, data, tmp_path):
    done = experiment(name, data, *options)
    assert done.code == 2 and len(done.err) == 1 and what in done.err[0]
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(experiment, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "offset.csv").write_text("mine")
    done = experiment("offset", data)
    assert done.code == 2 and "--overwrite" in done.err[0]
    assert (tmp_path / "out" / "offset.csv").read_text() == "mine"
    assert experiment("offset", data, "--overwrite").code == 0
    assert (tmp_path / "out" / "offset.csv").read_text() != "mine"


@pytest.mark.parametrize("ending", ["csv", "json", "svg", "png"])
def test_a_folder_in_the_place_of_a_file_is_told_before_any_work(ending, experiment, data, tmp_path, monkeypatch):
    (tmp_path / "out" / f"offset.{ending}").mkdir(parents=True)
    monkeypatch.setattr("head2toe.cli.experiment._tasks", lambda *_: pytest.fail("data were read"))
    done = experiment("offset", data, "--overwrite")
    assert done.code == 2 and len(done.err) == 1
    assert f"offset.{ending} is no file, so it is not replaced" in done.err[0]


@pytest.mark.parametrize(
    ("name", "told"),
    [("affine", "error: interrupted"), ("offset", "interrupted: run the same command again, it reads the rows of")],
)
def test_an_interruption_tells_what_is_kept(name, told, experiment, data, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("head2toe.benchmark.experiments.running.run_experiment", stopped)
    done = experiment(name, data)
    assert done.code == 130 and done.err[-1].startswith(told)
    assert "resumes" not in done.err[-1]


def test_the_help_of_the_cache_tells_that_experiments_fill_it(experiment, data, run):
    assert "`fit` and `experiment` keep the rows" in run("cache", "--help").out
    assert run("cache", "--json").json["stores"] == []
    experiment("offset", data)
    assert [store["n"] for store in run("cache", "--json").json["stores"]] in ([36, 24], [24, 36])


def test_a_task_of_one_test_image_is_refused_by_affine(experiment, data):
    for one in sorted((data / "test").rglob("*.png"))[1:]:
        one.unlink()
    done = experiment("affine", data, "--side", "32", "--steps", "1")
    assert done.code == 2 and len(done.err) == 1 and "1 test image" in done.err[0]


def test_few_training_images_are_refused_by_stability(experiment, data):
    for folder in (data / "train").iterdir():
        for one in sorted(folder.iterdir())[2:]:
            one.unlink()
    done = experiment("stability", data)
    assert done.code == 2 and len(done.err) == 1 and "training images, and draws of" in done.err[0]


def test_odd_names_of_data_are_drawn(experiment, data, tmp_path):
    odd = [data.rename(tmp_path / "a $x_1^ b$"), tmp_path / "_under", tmp_path / os.fsdecode(b"bad\xff")]
    for copy in odd[1:]:
        shutil.copytree(odd[0], copy)
    done = experiment("target-size", odd[0], *(part for copy in odd[1:] for part in ("--data", copy)), "--json")
    assert done.code == 0 and done.err == []
    text = (tmp_path / "out" / "target-size.csv").read_bytes()
    assert all(os.fsencode(copy.name) in text for copy in odd)


def test_tasks_of_one_name_are_told_apart_by_the_folders_above(experiment, data, tmp_path):
    (tmp_path / "v1.0").mkdir()
    other = data.rename(tmp_path / "v1.0" / "pictures")
    write_folder(data / "train", n=36, seed=2)
    write_folder(data / "test", n=24, seed=3)
    done = experiment("target-size", data, "--data", other, "--json")
    assert [task["name"] for task in done.json["tasks"]] == [f"{tmp_path.name}/pictures", "v1.0/pictures"]


def test_the_same_data_twice_are_refused(experiment, data):
    done = experiment("target-size", data, "--data", data)
    assert done.code == 2 and "is there twice" in done.err[0]


def test_test_labels_written_otherwise_are_no_zero_per_cent(experiment, data):
    for folder in list((data / "test").iterdir()):
        folder.rename(folder.with_name(f"{folder.name}.0"))
    done = experiment("target-size", data)
    assert done.code == 2 and len(done.err) == 1 and "no test label is a training label" in done.err[0]
