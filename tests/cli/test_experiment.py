"""`head2toe experiment`: the user's own data, with a training and a test split."""

from __future__ import annotations

import csv
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
