from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest

from cli.conftest import write_folder
from estimators.tiny import pictures

QUICK = ("--methods", "linear,knn", "--image-size", "32")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared") / "squares"
    write_folder(folder / "train", n=45, seed=0)
    write_folder(folder / "test", n=24, seed=1)
    return folder


def test_the_table_has_a_line_a_method_and_seed(run, backbone, data, tmp_path):
    out = tmp_path / "figures.json"
    done = run("compare", data, "--split", "train", "--test-split", "test", "--backbone", backbone, *QUICK,
               "--seeds", "0,1", "--out", out)  # fmt: skip
    assert done.code == 0 and done.err == []
    header, *lines = done.out.splitlines()
    assert header.split()[:4] == ["method", "seed", "top-1", "%"]
    assert [line.split()[:2] for line in lines] == [["linear", "0"], ["knn", "0"], ["linear", "1"], ["knn", "1"]]
    written = json.loads(out.read_text())["outcomes"]
    shown = [f"{100 * one['accuracy']:.1f}" for one in written]
    assert shown == [line.split()[2] for line in lines]
    assert {one["n_train"] for one in written} == {45} and {one["n_test"] for one in written} == {24}


def test_test_images_may_lie_elsewhere_and_json_is_one_object(run, backbone, data):
    done = run("compare", data / "train", "--test", data / "test", "--backbone", backbone, *QUICK, "--json")
    assert done.code == 0
    assert [one["method"] for one in done.json["outcomes"]] == ["linear", "knn"]
    assert done.json["outcomes"][0]["task"] == "train"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "there are no test images"),
        (("--test-split", "train"), "training and test images would be the same"),
        (("--test-split", "test", "--methods", "svm"), "unknown method 'svm'"),
        (("--test-split", "test", "--seeds", "a"), "--seeds is 'a'"),
        (("--test-split", "nowhere"), "has no split nowhere"),
    ],
)
def test_mistakes_are_one_line(run, backbone, data, options, message):
    done = run("compare", data, "--split", "train", "--backbone", backbone, *options)
    assert done.code == 2 and len(done.err) == 1 and message in done.err[0]


def test_the_training_images_are_no_test_images_by_another_way(run, backbone, data):
    done = run("compare", data, "--split", "train", "--test", data, "--test-split", "train", "--backbone", backbone)
    assert done.code == 2 and "training and test images would be the same" in done.err[0]
    done = run("compare", data / "train", "--test", data / "train", "--backbone", backbone)
    assert done.code == 2 and "training and test images would be the same" in done.err[0]


def test_training_images_among_the_test_images_are_told(run, backbone, data, tmp_path):
    names = sorted((data / "train").rglob("*.png"))[:1] + sorted((data / "test").rglob("*.png"))
    rows = [f"{os.path.relpath(name, tmp_path)},{name.parent.name}" for name in names]
    (tmp_path / "test.csv").write_text("\n".join(["path,label", *rows]))
    done = run("compare", data, "--split", "train", "--test", tmp_path / "test.csv", "--backbone", backbone, *QUICK)
    assert done.code == 0 and f"1 of {len(names)} test images are training images too" in done.err[0]


def test_the_only_split_is_not_both_parts_where_it_is_named_once(run, backbone, data, tmp_path):
    write_folder(tmp_path / "alone" / "train", n=24)
    only = tmp_path / "alone"
    done = run("compare", only, "--split", "train", "--test", only, "--backbone", backbone, *QUICK)
    assert done.code == 2 and "all test images are among the training images" in done.err[0]


def test_a_file_that_is_there_stays(run, backbone, data, tmp_path):
    out = tmp_path / "figures.json"
    out.write_text("mine")
    done = run("compare", data, "--split", "train", "--test-split", "test", "--backbone", backbone, "--out", out)
    assert done.code == 2 and "is there already" in done.err[0] and out.read_text() == "mine"


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_file_is_written_where_standard_output_cannot_be(run, backbone, data, tmp_path, monkeypatch):
    monkeypatch.setattr("head2toe.cli.compare.emit", full)
    out = tmp_path / "figures.json"
    done = run(
        "compare", data, "--split", "train", "--test-split", "test", "--backbone", backbone, *QUICK, "--out", out
    )
    assert done.code == 2 and "No space left" in done.err[0]
    assert len(json.loads(out.read_text())["outcomes"]) == 2


def test_figures_are_printed_where_the_file_cannot_be_written(run, backbone, data, tmp_path, monkeypatch):
    monkeypatch.setattr("head2toe.cli.compare.write_text", full)
    done = run("compare", data, "--split", "train", "--test-split", "test", "--backbone", backbone, *QUICK,
               "--out", tmp_path / "figures.json")  # fmt: skip
    assert done.code == 2 and "No space left" in done.err[0]
    assert [line.split()[0] for line in done.out.splitlines()] == ["method", "linear", "knn"]


def test_a_seed_that_is_named_twice_is_run_once(run, backbone, data):
    done = run("compare", data, "--split", "train", "--test-split", "test", "--backbone", backbone,
               "--methods", "knn", "--image-size", "32", "--seeds", "0,0")  # fmt: skip
    assert done.code == 0 and [line.split()[:2] for line in done.out.splitlines()[1:]] == [["knn", "0"]]


def test_the_folder_that_one_is_in_names_the_task(run, backbone, data, monkeypatch):
    monkeypatch.chdir(data)
    done = run("compare", ".", "--split", "train", "--test-split", "test", "--backbone", backbone,
               "--methods", "knn", "--image-size", "32", "--json")  # fmt: skip
    assert [one["task"] for one in done.json["outcomes"]] == ["squares"]


def test_test_labels_of_another_kind_are_no_zero_per_cent(run, backbone, tmp_path):
    y = np.arange(30) % 3
    train, test = (pictures(30, seed)[0] for seed in (0, 1))
    for name, labels in (("floats", y.astype(float)), ("more", np.append(y[:-1], 7))):
        np.savez(tmp_path / name, train_images=train, train_labels=y, test_images=test, test_labels=labels)
    options = ("--split", "train", "--test-split", "test", "--backbone", backbone, *QUICK)
    done = run("compare", tmp_path / "floats.npz", *options)
    assert done.code == 2 and len(done.err) == 1 and done.out == ""
    assert "test labels are 0.0, 1.0, 2.0, training labels 0, 1, 2" in done.err[0]
    done = run("compare", tmp_path / "more.npz", *options)
    assert done.code == 0
    assert done.err == ["more: no training image is of the class 7: 1 of 30 test images count as errors"]


def test_a_damaged_test_image_is_met_before_any_training(run, backbone, tmp_path):
    folder = tmp_path / "squares"
    write_folder(folder / "train", n=30)
    write_folder(folder / "test", n=12, seed=1)
    (folder / "test" / "right" / "11.png").write_bytes(b"no picture")
    done = run(
        "compare", folder, "--split", "train", "--test-split", "test", "--backbone", backbone, *QUICK, "--progress"
    )
    assert done.code == 2 and "11.png" in done.err[-1] and "a test image cannot be read" in done.err[-1]
    assert not any("seed 0" in line or "rows of" in line for line in done.err)


def test_groups_are_a_column_and_no_fold_divides_one(run, backbone, tmp_path):
    write_folder(tmp_path / "pictures", n=36)
    names = sorted((tmp_path / "pictures").rglob("*.png"), key=lambda path: path.name)
    part = ["test" if i >= 30 else "train" for i in range(36)]
    patients = [i // 4 for i in range(36)]  # that of the last two training images has two in the test
    rows = [
        f"{path.relative_to(tmp_path)},{path.parent.name},{split},{patient}"
        for path, split, patient in zip(names, part, patients, strict=True)
    ]
    (tmp_path / "all.csv").write_text("\n".join(["path,label,split,patient", *rows]))
    asked = ("compare", tmp_path / "all.csv", "--split", "train", "--backbone", backbone, *QUICK, "--json")
    plain = run(*asked, "--test-split", "test")
    done = run(*asked, "--test-split", "test", "--groups", "patient")
    assert done.code == 0 and plain.err == []
    assert done.err == ["all: 2 of 6 test images are of groups that training images are of too: accuracy is flattered"]
    told = [one["choice"]["validation"] for one in plain.json["outcomes"] + done.json["outcomes"]]
    assert told == ["5 folds"] * 2 + ["5 folds of groups"] * 2
    write_folder(tmp_path / "test", n=12, seed=1)
    assert run(*asked, "--test", tmp_path / "test", "--groups", "patient").code == 0  # which has no such column
    (tmp_path / "more.csv").write_text((tmp_path / "all.csv").read_text())  # and which has it
    more = run(*asked, "--test", tmp_path / "more.csv", "--test-split", "test", "--groups", "patient")
    assert more.code == 0 and more.err == done.err
    wrong = run(*asked, "--test-split", "test", "--groups", "doctor")
    assert wrong.code == 2 and "no column doctor of groups" in wrong.err[0]
