"""From a folder of images to a probe, an evaluation and predictions, as a user types it."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from cli.conftest import FAST, write_folder
from head2toe import Head2ToeClassifier
from head2toe.data import read_data


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_help_does_not_wait_for_torch():
    program = (
        "import sys, head2toe.cli as c; c.main(['fit', '--help']); print({'torch', 'numpy', 'PIL'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "--backbone" in done.stdout


def test_version(run):
    assert run("--version").out.startswith("head2toe ")
    done = subprocess.run([sys.executable, "-m", "head2toe", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("head2toe ")


def test_fit_prints_both_accuracies_and_writes_the_probe(fit, folder, tmp_path):
    done = fit(folder, tmp_path / "probe")
    assert done.code == 0 and done.err == []
    lines = dict(line.split("  ", 1) for line in done.out.splitlines())
    assert all(0 <= float(lines[name]) <= 1 for name in ("the linear probe's", "cross-validated accuracy"))
    (head,) = (line for name, line in lines.items() if name in ("head", "head 1"))
    assert "view " in head and "strength " in head
    assert sorted(path.name for path in (tmp_path / "probe").iterdir()) == ["probe.json", "probe.safetensors"]


def test_fit_in_json_says_what_the_library_says(fit, folder, tmp_path):
    done = fit(folder, tmp_path / "probe", "--json")
    assert done.code == 0 and done.out.count("\n") == 1
    saved = Head2ToeClassifier.load(tmp_path / "probe")
    assert done.json["cv_accuracy"] == saved.cv_accuracy_
    assert done.json["linear_cv_accuracy"] == saved.linear_cv_accuracy_
    assert done.json["classes"] == ["left", "middle", "right"] == saved.classes_.tolist()
    assert done.json["n"] == 30 and done.json["skipped"] == [] and not done.json["cached"]
    assert done.json["choice"] == saved.choice_


def test_a_column_of_groups_reaches_the_folds(fit, folder, tmp_path):
    files = sorted(folder.rglob("*.png"))
    rows = [f"{path.relative_to(folder)},{path.parent.name},{i // 2}" for i, path in enumerate(files)]
    (folder / "list.csv").write_text("\n".join(["path,label,film", *rows]))
    done = fit(folder, tmp_path / "probe", "--groups", "film", "--json")
    assert done.code == 0 and done.json["n"] == 30
    refused = fit(folder, tmp_path / "other", "--groups", "patient")
    assert refused.code == 2 and "no column patient of groups" in refused.err[-1]


def test_a_budget_and_an_image_size_reach_the_network(fit, folder, tmp_path):
    done = fit(folder, tmp_path / "probe", "--json", "--budget", "0.5", "--image-size", "48")
    assert done.json["backbone"]["preprocessing"]["size"] == [48, 48]
    assert done.json["flops_saved"] >= 0.5 * done.json["flops"] > 0
    saved = Head2ToeClassifier.load(tmp_path / "probe")
    assert (saved.flops_, saved.flops_saved_) == (done.json["flops"], done.json["flops_saved"])
    wrong = fit(folder, tmp_path / "other", "--budget", "2")
    assert wrong.code == 2 and "budget is 2" in wrong.err[-1]


def test_a_head_size_reaches_the_classifier(fit, folder, tmp_path):
    fit(folder, tmp_path / "small", "--head-size", "0.5")
    fit(folder, tmp_path / "any", "--head-size", "inf")
    sizes = [Head2ToeClassifier.load(tmp_path / name).head_size for name in ("small", "any")]
    assert sizes == [0.5, None]
    wrong = fit(folder, tmp_path / "other", "--head-size", "0")
    assert wrong.code == 2 and "head_size is 0" in wrong.err[-1]


def test_a_class_token_reaches_the_plan(fit, folder, run, backbone, tmp_path):
    assert fit(folder, tmp_path / "probe", "--cls-token", "beside").code == 0
    assert Head2ToeClassifier.load(tmp_path / "probe").cls_token == "beside"
    wrong = fit(folder, tmp_path / "other", "--cls-token", "without")
    assert wrong.code == 2 and "--cls-token" in wrong.err[-1]


def test_the_search_can_be_told_how_long_it_may_take(fit, folder, tmp_path):
    hasty = fit(folder, tmp_path / "hasty", "--search-seconds", "1e-9")
    assert hasty.code == 0
    probe = Head2ToeClassifier.load(tmp_path / "hasty")
    assert probe.search_seconds == 1e-9
    tried = {(row["view"], row["layer_weights"]) for row in probe.search_table_ if row["view"] != "linear"}
    assert tried == {("statistics", "learned")}
    wrong = fit(folder, tmp_path / "other", "--search-seconds", "0")
    assert wrong.code == 2 and "search_seconds is 0" in wrong.err[-1]


def test_options_reach_the_classifier(fit, folder, tmp_path):
    fit(
        folder,
        tmp_path / "probe",
        "--cv",
        "3",
        "--seed",
        "4",
        "--class-weight",
        "balanced",
        "--layers",
        "layer*",
        "--target-size",
        "16",
    )
    saved = Head2ToeClassifier.load(tmp_path / "probe")
    assert (saved.cv, saved.random_state, saved.class_weight) == (3, 4, "balanced")
    assert saved.target_sizes == (8, 16) and saved.layers == ["layer*"]
    assert all(layer.name.startswith("layer") or layer.penultimate for layer in saved.plan_.layers)


def test_unlabelled_images_are_read_without_labels(fit, folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for i, path in enumerate(sorted(write_folder(tmp_path / "more", 12, seed=4).rglob("*.png"))):
        shutil.copy(path, flat / f"{i}.png")
    (flat / "broken.png").write_bytes(b"")
    done = fit(folder, tmp_path / "probe", "--unlabelled", flat, "--json")
    assert done.code == 0 and any("1 of 13" in line for line in done.err)
    assert done.json["n"] == 30 and done.json["skipped"] == []
    assert [one["path"] for one in done.json["skipped_unlabelled"]] == [str(flat / "broken.png")]
    table = Head2ToeClassifier.load(tmp_path / "probe").search_table_
    assert {row["unlabelled"] for row in table} == {0, 12}
    assert fit(folder, tmp_path / "other", "--unlabelled", tmp_path / "nowhere").code == 2


def test_unlabelled_images_of_a_split(fit, folder, tmp_path):
    shutil.copytree(folder / "left", tmp_path / "more" / "test" / "some")
    shutil.copytree(folder / "right", tmp_path / "more" / "train" / "some")
    done = fit(folder, tmp_path / "probe", "--unlabelled", tmp_path / "more")
    assert done.code == 2 and "has splits test, train" in done.err[0]
    done = fit(folder, tmp_path / "probe", "--unlabelled", tmp_path / "more", "--unlabelled-split", "test")
    assert done.code == 0
    done = fit(folder, tmp_path / "other", "--unlabelled-split", "test")
    assert done.code == 2 and "goes with --unlabelled" in done.err[0]


def test_the_program_alone_shows_its_help(run):
    done = run()
    assert done.code == 2 and done.err[0].startswith("Usage: head2toe") and len(done.err) > 10


def test_commands_that_compare_by_images_refuse_other_backbones(run, folder, tmp_path):
    for command in (
        ("compare", folder, "--split", "train", "--test-split", "test", "--backbone", "hf-text/some/model"),
        ("vtab", "run", "--task", f"one={folder}", "--backbone", "hf-audio/some/model", "--out", tmp_path / "cells"),
    ):
        done = run(*command)
        assert done.code == 2 and "this command is for backbones of images" in done.err[0]


def test_the_second_fit_is_a_cache_hit(fit, run, folder, tmp_path):
    assert not fit(folder, tmp_path / "a", "--json").json["cached"]
    assert fit(folder, tmp_path / "b", "--json").json["cached"]
    listed = run("cache", "--json").json
    assert [store["n"] for store in listed["stores"]] == [30] and listed["bytes"] == listed["stores"][0]["bytes"]
    assert "1 stores" in run("cache").out
    cleared = run("cache", "--clear", "--json").json
    assert cleared["stores"] == [] and cleared["deleted"] == [listed["stores"][0]["key"]]


def test_no_cache_leaves_none(fit, run, folder, tmp_path):
    fit(folder, tmp_path / "a", "--no-cache")
    assert run("cache", "--json").json["stores"] == []


def test_notes_and_progress_go_to_standard_error(fit, folder, tmp_path):
    done = fit(folder, tmp_path / "a", "--progress", "--json")
    assert any("images/s" in line for line in done.err) and any("float32" in line for line in done.err)
    assert done.json["n"] == 30
    again = fit(folder, tmp_path / "b", "--progress")
    assert any("cache hit" in line for line in again.err) and "from the cache" in again.out


def test_evaluate_measures_what_predict_says(run, probe, tmp_path):
    data = write_folder(tmp_path / "more", n=24, seed=5)
    found = run("evaluate", probe, data, "--json").json
    predicted = rows(run("predict", probe, data).out)
    truth = read_data(data)
    assert [row["path"] for row in predicted] == truth.names
    hits = np.array([row["class"] for row in predicted]) == np.array(truth.labels)
    assert found["accuracy"] == pytest.approx(hits.mean()) and found["n"] == 24 and found["skipped"] == []
    recalls = [hits[np.array(truth.labels) == name].mean() for name in ("left", "middle", "right")]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    saved = Head2ToeClassifier.load(probe)
    assert found["linear_accuracy"] == pytest.approx(saved.linear_score(truth, truth.labels))
    assert all(1 / 3 <= float(row["probability"]) <= 1 for row in predicted)
    assert f"{found['accuracy']:.4f}" in run("evaluate", probe, data).out


def test_predict_to_a_file(run, probe, tmp_path):
    data = write_folder(tmp_path / "more", n=6)
    printed = run("predict", probe, data).out
    done = run("predict", probe, data, "--out", tmp_path / "answers.csv", "--json")
    assert done.json == {"out": str(tmp_path / "answers.csv"), "n": 6, "skipped": []}
    assert (tmp_path / "answers.csv").read_text() == printed
    inline = run("predict", probe, data, "--json").json["predictions"]
    assert [{**row, "probability": str(row["probability"])} for row in inline] == rows(printed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "more"]


def test_images_without_labels_can_be_predicted_but_not_evaluated(run, probe, tmp_path):
    data = write_folder(tmp_path / "more", n=6) / "left"
    assert len(rows(run("predict", probe, data).out)) == 2
    done = run("evaluate", probe, data)
    assert done.code == 2 and len(done.err) == 1 and "has no labels" in done.err[0]


def test_splits_and_forms(fit, run, tmp_path):
    for split, seed in (("train", 0), ("test", 1)):
        write_folder(tmp_path / "data" / split, seed=seed)
    archive = shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "data")
    folder = fit(tmp_path / "data", tmp_path / "a", "--split", "train", "--json")
    zipped = fit(archive, tmp_path / "b", "--split", "train", "--json")
    assert folder.json["cv_accuracy"] == zipped.json["cv_accuracy"]
    scores = [
        run("evaluate", tmp_path / "a", data, "--split", "test", "--json").json for data in (archive, tmp_path / "data")
    ]
    assert scores[0] == scores[1] and scores[0]["n"] == 30


def test_a_csv_with_a_label_column_of_its_own(fit, folder, tmp_path):
    names = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*.png"))
    lines = [f"{name},{name.split('/')[1][0]}" for name in names]
    (tmp_path / "t.csv").write_text("\n".join(["path,side", *lines]))
    assert fit(tmp_path / "t.csv", tmp_path / "a", "--label", "side", "--json").json["classes"] == ["l", "m", "r"]


def test_unreadable_images_are_skipped_and_listed(fit, run, folder, probe, tmp_path):
    (folder / "left" / "zero.png").write_bytes(b"")
    (folder / "right" / "text.png").write_text("no picture")
    whole = next((folder / "left").glob("0*.png")).read_bytes()
    (folder / "middle" / "half.png").write_bytes(whole[: len(whole) // 2])
    broken = {"zero.png", "text.png", "half.png"}
    done = fit(folder, tmp_path / "probe", "--json")
    assert done.code == 0 and done.json["n"] == 30
    assert {item["path"].split("/")[-1] for item in done.json["skipped"]} == broken
    assert all(any(name in line for line in done.err) for name in broken)
    assert "skipped 3 of 33 images" in done.err[0] and len(done.err) == 4
    predicted = run("predict", probe, folder)
    assert len(rows(predicted.out)) == 30 and "skipped 3 of 33 images" in predicted.err[0]
    evaluated = run("evaluate", probe, folder, "--json").json
    assert evaluated["n"] == 30 and len(evaluated["skipped"]) == 3
    for command in (("predict", probe, folder), ("evaluate", probe, folder)):
        done = run(*command, "--strict")
        assert done.code == 2 and len(done.err) == 1 and done.out == ""


def test_labels_that_the_probe_does_not_know(run, probe, tmp_path):
    data = write_folder(tmp_path / "more", n=6)
    (data / "left").rename(data / "up")
    found = run("evaluate", probe, data, "--json").json
    assert found["unknown_labels"] == ["up"] and found["accuracy"] <= 4 / 6
    for name in ("middle", "right"):
        (data / name).rename(data / f"{name} side")
    done = run("evaluate", probe, data)
    assert done.code == 2 and "no label is a class of the probe" in done.err[0]


def test_layers_lists_shapes_and_pooled_sizes(run, backbone):
    found = run("layers", "--backbone", backbone, "--target-size", "8", "--target-size", "512", "--json").json
    assert found == run("layers", backbone, "--target-size", "8", "--target-size", "512", "--json").json
    by_name = {layer["name"]: layer for layer in found["layers"]}
    assert by_name["fc"] == {
        "name": "fc",
        "kind": "vector",
        "shape": [10],
        "penultimate": False,
        "pooled": {"8": 10, "512": 10, "statistics": 10},
    }
    assert sum(layer["penultimate"] for layer in found["layers"]) == 1
    for size in ("8", "512", "statistics"):
        assert found["features"][size] == sum(layer["pooled"][size] for layer in found["layers"])
    for layer in found["layers"]:
        if layer["kind"] == "map":
            channels, height, width = layer["shape"]
            assert layer["pooled"]["8"] in {channels, channels * height * width} or channels < 8
            # Mean, deviation, maximum; and the centre of mass, two numbers, where there are places enough.
            assert layer["pooled"]["statistics"] == channels * (5 if min(height, width) > 1 else 3)
    paper = run("layers", backbone, "--target-size", "8", "--statistics", "none", "--json").json
    assert paper["layers"][-1]["pooled"].keys() == {"8"}
    text = run("layers", backbone, "--layers", "re:^layer1").out
    assert "layer1" in text and "layer2" not in text


def test_extract_writes_rows_and_their_names(run, backbone, folder, tmp_path):
    (folder / "left" / "zero.png").write_bytes(b"")
    arguments = ("extract", folder, "--backbone", backbone, "--out", tmp_path / "store", *FAST, "--json")
    done = run(*arguments)
    stored = np.load(tmp_path / "store" / "rows.npy")
    assert stored.shape == (30, done.json["features"]) and stored.nbytes == done.json["bytes"]
    assert not done.json["cached"] and run(*arguments).json["cached"]
    images = read_data(folder)
    expected = [(n, label) for n, label in zip(images.names, images.labels, strict=True) if "zero" not in n]
    listed = rows((tmp_path / "store" / "images.csv").read_text())
    assert [(row["path"], row["label"]) for row in listed] == expected
    assert run("extract", folder, "--backbone", backbone, "--out", tmp_path / "store", "--target-size", 9).code == 2


def test_demo(run, monkeypatch, tmp_path):
    calls = []

    def run_demo(out, progress):
        calls.append(out)
        if progress is not None:
            progress(0, 1, "digits: linear probe")
        row = {
            "task": "digits",
            "method": "Head2Toe",
            "accuracy": 0.5,
            "standard_error": 0.1,
            "seconds": 1.0,
            "stored_bytes": 2000,
        }
        return {"table": [row], "report": str(out / "report.html"), "seconds": 3.0}

    monkeypatch.setattr("head2toe.benchmark.demo.run_demo", run_demo)
    done = run("demo", "--out", tmp_path, "--json", "--progress")
    assert done.json["table"][0]["accuracy"] == 0.5 and done.err == ["[0/1] digits: linear probe"]
    done = run("demo", "--out", tmp_path, "--no-progress")
    assert "Head2Toe" in done.out and "50.0 ± 10.0" in done.out and "report.html" in done.out and done.err == []
    assert calls == [tmp_path, tmp_path]


@pytest.mark.parametrize("own", [{}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}])
def test_threads_that_wait_fall_asleep_soon_unless_the_user_says_how(own):
    code = "import os, head2toe.cli as c; c.main(['--version']); print(os.environ.get('GOMP_SPINCOUNT'))"
    free = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run([sys.executable, "-c", code], env=free | own, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ("1000" if not own else own.get("GOMP_SPINCOUNT", "None"))


def test_a_single_image(run, probe, tmp_path):
    data = write_folder(tmp_path / "more", n=6)
    done = run("predict", probe, data / "left" / "00.png")
    assert rows(done.out)[0]["path"].endswith("00.png")


def test_shared_zip(run, fit, shared, tmp_path):
    """A piece of a shared task through the program, its zip as it is but for the number of images."""
    with zipfile.ZipFile(shared / "data" / "signdigits.zip") as archive:
        lines = archive.read("labels.csv").decode().splitlines()
        keep = [lines[0], *[line for line in lines[1:] if line.startswith("train")][:100], *lines[-50:]]
        with zipfile.ZipFile(tmp_path / "few.zip", "w") as few:
            few.writestr("labels.csv", "\n".join(keep))
            for line in keep[1:]:
                few.writestr(line.split(",")[2], archive.read(line.split(",")[2]))
    done = fit(tmp_path / "few.zip", tmp_path / "probe", "--split", "train", "--json")
    assert done.json["n"] == 100 and len(done.json["classes"]) == 10
    found = run("evaluate", tmp_path / "probe", tmp_path / "few.zip", "--split", "test", "--json").json
    assert found["n"] == 50 and found["accuracy"] > 0.1
