from __future__ import annotations

import json

import pytest

from cli.conftest import write_folder

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
