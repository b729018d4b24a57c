"""`head2toe vtab`: list, run and table, from files to figures."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from PIL import Image

from cli.conftest import write_folder
from estimators.tiny import pictures

QUICK = ("--methods", "linear,knn", "--image-size", "32", "--seeds", "0", "--device", "cpu")


def write_kitti_lists(folder):
    """KITTI in the layout of lists: three files, named many times."""
    images, labels = pictures(12, 0)
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    (folder / "images").mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
    for name, n in (("train800", 800), ("val200", 200), ("test", 711)):
        rows = [f"images/{i % 12}.png {numbers[labels[i % 12]]}" for i in range(n)]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")


@pytest.fixture
def own(tmp_path):
    for split, seed in (("train", 0), ("test", 1)):
        write_folder(tmp_path / "own" / split, n=30, seed=seed)
    return f"structured/sides={tmp_path / 'own'}"


def test_another_group_of_a_task_is_refused_though_nothing_is_missing(run, own, tmp_path):
    given = (*QUICK, "--out", tmp_path / "cells")
    assert run("vtab", "run", "--task", own, *given).code == 0
    assert run("vtab", "run", "--task", own, *given).code == 0
    done = run("vtab", "run", "--task", own.replace("structured", "natural"), *given)
    assert done.code == 2 and len(done.err) == 1
    assert "knn-seed0.json is of the group structured, not natural: choose another --out" in done.err[0]


def test_list_says_what_is_there_and_what_is_missing(run, tmp_path):
    write_kitti_lists(tmp_path / "data" / "kitti")
    (tmp_path / "data" / "SUN397").mkdir()
    (tmp_path / "data" / "SUN397" / "ClassName.txt").touch()
    found = run("vtab", "list", "--data", tmp_path / "data", "--json").json
    tasks = {task["name"]: task for task in found["tasks"]}
    assert len(tasks) == 19 and [name for name, task in tasks.items() if task["present"]] == ["kitti"]
    assert (tasks["kitti"]["layout"], tasks["kitti"]["folder"]) == ("lists", "kitti")
    assert tasks["sun397"]["missing"]["torchvision"] == ["SUN397/a"]
    assert tasks["retinopathy"]["by_hand"] and "kaggle" in tasks["retinopathy"]["page"]
    text = run("vtab", "list", "--data", tmp_path / "data").out
    unasked = run("vtab", "list")
    assert "1 of 19" not in unasked.out and "--data ROOT tells which are there" in unasked.out
    assert "1 of 19 are there" in text and "sun397: torchvision lacks SUN397/a" in text


def test_a_run_resumes_and_its_table_is_printed(run, tmp_path, backbone, own):
    write_kitti_lists(tmp_path / "data" / "kitti")
    out = tmp_path / "cells"
    arguments = ("vtab", "run", "--data", tmp_path / "data", "--task", own, "--backbone", backbone, "--out", out)
    limited = (*arguments, *QUICK, "--test-limit", "12")
    first = run(*limited, "--json", "--progress")
    assert first.code == 0 and first.json["tasks"] == ["kitti", "sides"]
    assert (first.json["made"], first.json["kept"]) == (4, 0)
    assert any(line.startswith("[0/2] kitti") for line in first.err) and "[2/2] done" in first.err
    again = run(*limited, "--json")
    assert (again.json["made"], again.json["kept"]) == (0, 4)
    refused = run(*arguments, *QUICK)
    assert refused.code == 2 and "made with other settings" in refused.err[0] and len(refused.err) == 1

    made = run("vtab", "table", out, "--json").json
    assert made["tasks"] == ["kitti", "sides"]
    rows = {row["name"]: row for row in made["rows"]}
    assert set(rows) >= {"linear", "knn", "Head2Toe (paper)"}
    cell = json.loads(next(out.rglob("kitti/linear-seed0.json")).read_text())
    assert rows["linear"]["accuracies"]["kitti"] == pytest.approx(100 * cell["accuracy"])
    assert (cell["n_train"], cell["n_test"], cell["data"]["test_of"]) == (1000, 12, 711)
    assert rows["knn"]["accuracies"]["kitti"] == 100  # the test images are training images here

    files = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md")}
    text = run("vtab", "table", out, "--csv", files["csv"], "--markdown", files["md"], "--no-published").out
    assert files["md"].read_text().strip() == text.strip()
    rows = csv.DictReader(files["csv"].read_text().splitlines())
    assert [row["method"] for row in rows] == ["knn", "linear"]
    assert "12 test images, not 711" in text
    there = run("vtab", "table", out, "--csv", files["csv"])
    assert there.code == 2 and "choose another file, or --overwrite it" in there.err[0]


@pytest.mark.parametrize("change", [{"accuracy": "x"}, {"accuracy": 7}, {"preprocessing": "x"}, {"data": 3}])
def test_a_cell_that_was_edited_is_told(run, tmp_path, change):
    cell = {"task": "a", "group": "", "method": "knn", "seed": 0, "accuracy": 0.5, "backbone": "embedded"}
    place = tmp_path / "cells" / "embedded" / "a" / "knn-seed0.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({**cell, **change}))
    told = run("vtab", "table", tmp_path / "cells")
    assert told.code == 2 and f"its {next(iter(change))} cannot be: delete it" in told.err[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "no task to run"),
        (("run", "--data", ".", "--only", "imagenet"), "VTAB-1k has no task imagenet"),
        (("run", "--data", ".", "--only", "kitti"), "kitti is not below"),
        (("run", "--only", "cifar100", "--task", "b=x.zip"), "--only cifar100: it is looked for below --data"),
        (("run", "--only", "pets", "--hub", "cifar100=x"), "--only pets: it is looked for below --data"),
        (("run", "--data", "nowhere", "--task", "a=x.zip"), "nowhere is no folder"),
        (("run", "--task", "birds"), "birds is no task: write"),
        (("run", "--task", "birds=nowhere.zip"), "there is no such file or folder"),
        (("run", "--hub", "kitti"), "--hub kitti: write TASK=REPO"),
        (("run", "--task", "a=x.zip", "--methods", "magic"), "unknown method 'magic'"),
        (("table",), "has no cells"),
        (("list", "--data", "nowhere"), "nowhere is no folder"),
    ],
)
def test_mistakes_are_told_in_one_line(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    verb, *rest = arguments
    last = {"run": ("--out", "cells"), "table": ("cells",), "list": ()}[verb]
    told = run("vtab", verb, *rest, *last)
    assert told.code == 2 and len(told.err) == 1 and message in told.err[0]
    assert not (tmp_path / "cells").exists()


def write_cell(folder, **change):
    cell = {"task": "a", "group": "own", "method": "knn", "seed": 0, "accuracy": 0.5, "backbone": "embedded", **change}
    place = folder / "embedded" / cell["task"] / f"{cell['method']}-seed0.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(cell))


@pytest.mark.parametrize("given", ["runs", "runs/first/embedded", "runs/first/embedded/a"])
def test_a_table_of_a_folder_beside_the_one_with_cells_names_that(run, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        write_cell(tmp_path / "runs" / name)
    told = run("vtab", "table", given)
    assert told.code == 2 and len(told.err) == 1 and f"{given} has no cells" in told.err[0]
    place = told.err[0].rpartition(" ")[2]
    assert (tmp_path / place).samefile(tmp_path / "runs" / "first")
    assert run("vtab", "table", place).code == 0


@pytest.mark.parametrize("second", ["t5", "./t5", "sub/../t5"])
def test_one_file_for_two_tables_is_refused_before_it_is_written(run, tmp_path, monkeypatch, second):
    monkeypatch.chdir(tmp_path)
    write_cell(tmp_path / "cells")
    (tmp_path / "sub").mkdir()
    told = run("vtab", "table", "cells", "--csv", "t5", "--markdown", second)
    assert told.code == 2 and len(told.err) == 1 and "--csv and --markdown are both t5" in told.err[0]
    assert not (tmp_path / "t5").exists()


def test_a_folder_of_costs_alone_has_no_table(run, tmp_path):
    write_cell(tmp_path / "cells", method="finetune-cost", accuracy=None)
    told = run("vtab", "table", tmp_path / "cells", "--csv", tmp_path / "t.csv")
    assert told.code == 2 and len(told.err) == 1 and "no cell has an accuracy" in told.err[0]
    assert not told.out and not (tmp_path / "t.csv").exists()


def test_a_task_with_one_image_a_class_keeps_the_cells_of_the_methods_that_learn_from_it(run, tmp_path, backbone):
    for seed, split in enumerate(("train", "test")):
        for number, image in enumerate(pictures(6, seed)[0]):
            (tmp_path / "own" / split / str(number)).mkdir(parents=True)
            Image.fromarray(image).save(tmp_path / "own" / split / str(number) / "0.png")
    asked = ("--task", f"sides={tmp_path / 'own'}", "--backbone", backbone, "--out", tmp_path / "cells", *QUICK)
    told = run("vtab", "run", *asked, "--methods", "linear,knn,all-l1")
    assert told.code == 2
    assert len(told.err) == 1 and told.err[0].startswith("error: sides: all-l1: no class has two images")
    cells = sorted(path.name for path in (tmp_path / "cells").rglob("*.json"))
    assert cells == ["knn-seed0.json", "linear-seed0.json"]


def test_own_tasks_are_judged_as_in_a_comparison(run, tmp_path, backbone, own):
    """An image of a class never seen is an error, a training image in the test is told, nothing but such is refused."""
    known = min((tmp_path / "own" / "train" / "left").iterdir())
    shutil.copy(known, tmp_path / "own" / "test" / "left" / "copy.png")
    write_folder(tmp_path / "new" / "test", n=1, seed=2)
    (tmp_path / "new" / "test" / "left").rename(tmp_path / "own" / "test" / "up")
    shutil.copytree(tmp_path / "own" / "train", tmp_path / "same" / "train")
    shutil.copytree(tmp_path / "own" / "train", tmp_path / "same" / "test")
    asked = ("--task", f"same={tmp_path / 'same'}", "--task", own, "--backbone", backbone, *QUICK)
    told = run("vtab", "run", *asked, "--out", tmp_path / "cells", "--json")
    assert told.code == 2 and told.json["made"] == 2
    assert told.err == [
        "sides: 1 of 32 test images are training images too: accuracy is flattered",
        "sides: no training image is of the class up: 1 of 32 test images count as errors",
        "error: same: same: all test images are among the training images: name others",
    ]


def test_the_tasks_of_the_hub_are_filtered_too(run, tmp_path, backbone, own):
    write_kitti_lists(tmp_path / "data" / "kitti")
    asked = ("--data", tmp_path / "data", "--only", "kitti", "--hub", f"dtd={tmp_path / 'nowhere'}")
    told = run("vtab", "run", *asked, "--backbone", backbone, "--out", tmp_path / "cells", *QUICK,
               "--test-limit", "6", "--json")  # fmt: skip
    assert told.code == 0 and told.json["tasks"] == ["kitti"]
    twice = run("vtab", "run", "--hub", "dtd=a", "--hub", "dtd=b", "--out", tmp_path / "cells")
    assert twice.code == 2 and "--hub dtd is there twice" in twice.err[0]


def test_seeds_are_named_as_in_a_comparison(run, tmp_path, backbone, own):
    asked = ("vtab", "run", "--task", own, "--backbone", backbone, "--out", tmp_path / "cells", *QUICK[:-4],
             "--methods", "knn", "--json")  # fmt: skip
    assert run(*asked, "--seeds", "4,0").json["made"] == 2
    assert run(*asked, "--seeds", "4,").json["kept"] == 1
    assert run(*asked, "--seeds", "2").json["made"] == 1
    last = run(*asked).json  # 0, 1 and 2
    assert (last["made"], last["kept"]) == (1, 2)
    for wrong in ("-1", "a", "1,a", "1.5", "0,-1", ""):
        told = run(*asked, "--seeds", wrong)
        assert told.code == 2 and len(told.err) == 1 and f"--seeds is {wrong!r}" in told.err[0]


def test_two_tasks_of_one_name_are_refused(run, tmp_path, own):
    told = run("vtab", "run", "--task", own, "--task", own, "--out", tmp_path / "cells")
    assert told.code == 2 and "two tasks are called sides" in told.err[0]
