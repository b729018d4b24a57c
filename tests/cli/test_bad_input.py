"""Every mistake a user can make: exit code 2, one line on standard error with the cure, nothing written."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from cli.conftest import FAST, write_folder
from head2toe.features import store


def _empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def _one_class(folder):
    shutil.rmtree(folder / "middle")
    shutil.rmtree(folder / "right")


def _lonely_image(folder):
    for path in sorted((folder / "left").iterdir())[1:]:
        path.unlink()


def _few_images(folder):
    shutil.rmtree(folder / "middle")
    for name in ("left", "right"):
        for path in sorted((folder / name).iterdir())[2:]:
            path.unlink()


def _unlabelled(folder):
    for path in list(folder.rglob("*.png")):
        path.rename(folder / f"{path.parent.name}{path.name}")


def _csv_with_a_gap(folder):
    lines = [f"{path.relative_to(folder).as_posix()},x" for path in sorted(folder.rglob("*.png"))]
    lines[3] = lines[3].removesuffix("x")
    (folder / "labels.csv").write_text("\n".join(["path,label", *lines]))


def _zero_bytes(folder):
    (folder / "left" / "broken.png").write_bytes(b"")


def _truncated(folder):
    path = folder / "left" / "broken.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])


def _bomb(folder):
    Image.new("1", (14_000, 14_000)).save(folder / "left" / "broken.png")


def _text(folder):
    (folder / "left" / "broken.png").write_text("no picture")


def _none_readable(folder):
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")


def _only_one_readable(folder):
    for path in sorted((folder / "left").iterdir())[1:]:
        path.write_bytes(b"")


def _constant(folder):
    for path in folder.rglob("*.png"):
        Image.new("RGB", (8, 8), (9, 9, 9)).save(path)


# What is done to the data, options of `fit`, what the line must say.
DATA = {
    "empty folder": (_empty, (), "no image found"),
    "one class": (_one_class, (), "all labels are 'left'"),
    "a class with one image": (_lonely_image, (), "only one sample of class 'left'"),
    "fewer images than folds": (_few_images, ("--cv", "5"), "fewer than 5 folds"),
    "no labels": (_unlabelled, (), "has no labels"),
    "a gap in a CSV": (_csv_with_a_gap, (), "labels.csv, line 5: no label"),
    "no such split": (lambda folder: None, ("--split", "test"), "has no split test"),
    "no such label": (_csv_with_a_gap, ("--label", "colour"), "no column colour: its columns are path, label"),
    "no such data": (shutil.rmtree, (), "there is no such file or folder"),
    "zero bytes": (_zero_bytes, ("--strict",), "broken.png: the file is empty"),
    "truncated": (_truncated, ("--strict",), "broken.png: "),
    "no image at all": (_text, ("--strict",), "broken.png: not an image"),
    "decompression bomb": (_bomb, ("--strict",), "broken.png: more pixels than"),
    "no image that can be read": (_none_readable, (), "none of the 30 images can be read"),
    "a class with one image that can be read": (_only_one_readable, (), "class 'left': cross-validation needs 2;"),
    "constant features": (_constant, (), "same"),
}


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(done, message):
    assert done.code == 2
    assert len(done.err) == 1, done.err
    assert done.err[0].startswith("error: ") and message in done.err[0]
    assert done.out == ""


@pytest.mark.parametrize("case", DATA)
def test_data(fit, folder, tmp_path, case):
    damage, options, message = DATA[case]
    damage(folder)
    before = listing(tmp_path)
    refused(fit(folder, tmp_path / "probe", *options), message)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("damage", [_zero_bytes, _truncated, _bomb, _text])
def test_without_strict_the_same_image_is_listed(run, probe, folder, damage):
    damage(folder)
    done = run("predict", probe, folder)
    assert done.code == 0 and done.err[0] == "skipped 1 of 31 images that cannot be read:"
    assert len(done.err) == 2 and "broken.png" in done.err[1]
    assert len(done.out.splitlines()) == 31


def test_a_class_lost_to_broken_images_says_so(fit, folder, tmp_path):
    _only_one_readable(folder)
    done = fit(folder, tmp_path / "probe")
    assert "9 images cannot be read, the first " in done.err[0] and "the file is empty" in done.err[0]


def test_cheap_checks_come_before_the_network(fit, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("head2toe.backbones.load", lambda *_, **__: pytest.fail("the network was loaded"))
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / "thesis.txt").write_text("years of work")
    refused(fit(folder, tmp_path / "probe", "--overwrite"), "is there already and is no probe folder")
    (tmp_path / "file").write_text("x")
    refused(fit(folder, tmp_path / "file"), "is there already")
    refused(fit(folder, tmp_path / "file" / "probe"), "cannot be written")
    _one_class(folder)
    refused(fit(folder, tmp_path / "new"), "all labels are 'left'")
    assert listing(tmp_path / "probe") == ["thesis.txt"]


def test_an_existing_probe_is_replaced_only_when_asked(fit, folder, probe, tmp_path):
    copy = shutil.copytree(probe, tmp_path / "probe")
    before = (copy / "probe.json").read_bytes()
    refused(fit(folder, copy), "is there already: choose another folder, or overwrite it")
    assert (copy / "probe.json").read_bytes() == before
    assert fit(folder, copy, "--overwrite", "--seed", "3").code == 0
    assert json.loads((copy / "probe.json").read_text())["parameters"]["random_state"] == 3


def weights_of(backbone):
    return Path(backbone.partition("local-dir:")[2]) / "model.safetensors"


BACKBONES = {
    "unknown family": ("nothing", (), "unknown backbone 'nothing'"),
    "misspelt name": ("timm/resnet5O.a1_in1k", (), "resnet50"),
    "no folder": ("timm/local-dir:nowhere", (), "nowhere"),
    "no such layer": (None, ("--layers", "layre1*"), "the nearest names are layer"),
    "no regular expression": (None, ("--layers", "re:("), "no regular expression"),
    "no device": (None, ("--device", "toaster"), "toaster"),
    "weights for another family": ("embedded", ("--weights", "w.safetensors"), "weights= goes with timm/NAME"),
    "weights of several": (
        "embedded",
        ("--backbone", "embedded", "--weights", "w.safetensors"),
        "--weights goes with one --backbone",
    ),
}


@pytest.mark.parametrize("case", BACKBONES)
def test_backbones(run, backbone, folder, tmp_path, case):
    spec, options, message = BACKBONES[case]
    before = listing(tmp_path)
    done = run("fit", folder, "--out", tmp_path / "probe", "--backbone", spec or backbone, *FAST, *options)
    refused(done, message)
    assert listing(tmp_path) == before


def test_a_hub_out_of_reach(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = run("fit", folder, "--out", tmp_path / "probe", "--backbone", "timm/test_vit.r160_in1k", *FAST)
    refused(done, "use a local folder, --weights FILE.safetensors, or 'embedded'")
    assert not (tmp_path / "probe").exists()


def _other_shape(state):
    state["fc.weight"] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.pop("fc.weight"), "misses 1 keys: fc.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "has unknown 1 keys: extra"),
        (_other_shape, "has wrong shapes for 1 keys: fc.weight"),
    ],
)
def test_weights_that_do_not_fit(fit, backbone, folder, tmp_path, damage, message):
    state = load_file(weights_of(backbone))
    damage(state)
    save_file(state, tmp_path / "w.safetensors")
    refused(fit(folder, tmp_path / "probe", "--weights", tmp_path / "w.safetensors"), message)
    assert not (tmp_path / "probe").exists()


def test_weights_that_changed_since_the_fit(run, probe, backbone, folder, tmp_path):
    other = shutil.copytree(weights_of(backbone).parent, tmp_path / "other")
    state = load_file(other / "model.safetensors")
    save_file(
        {name: value + 1 if value.is_floating_point() else value for name, value in state.items()},
        other / "model.safetensors",
    )
    done = run("predict", probe, folder, "--backbone", f"timm/local-dir:{other}", "--out", tmp_path / "answers.csv")
    refused(done, "are not those the probe was made with")
    assert not (tmp_path / "answers.csv").exists()


def test_nan_in_features(fit, backbone, folder, tmp_path):
    state = load_file(weights_of(backbone))
    state["conv1.0.weight" if "conv1.0.weight" in state else "conv1.weight"].fill_(torch.nan)
    save_file(state, tmp_path / "w.safetensors")
    refused(fit(folder, tmp_path / "probe", "--weights", tmp_path / "w.safetensors"), "NaN")
    assert not (tmp_path / "probe").exists()


def test_too_little_disk_is_known_before_the_first_image(fit, run, backbone, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("head2toe.data.images.decode", lambda *_: pytest.fail("an image was read"))
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage)
    refused(fit(folder, tmp_path / "probe"), "free some room")
    refused(run("extract", folder, "--backbone", backbone, "--out", tmp_path / "store", *FAST), "free some room")
    assert listing(tmp_path) == ["pictures", *sorted(f"pictures/{name}" for name in listing(folder))]


def test_a_disk_that_fills_up_resumes(run, backbone, folder, tmp_path, monkeypatch):
    real, calls = store._write_all, []

    def full_at_the_third(file, rows):
        calls.append(len(rows))
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(file, rows)

    monkeypatch.setattr(store, "_write_all", full_at_the_third)
    command = ("extract", folder, "--backbone", backbone, "--out", tmp_path / "store", "--batch-size", "8", *FAST)
    refused(run(*command), "run the same command again, it goes on from there")
    assert run(*command, "--json").json["n"] == 30
    assert calls == [8, 8, 8, 8, 6]


def _cut_description(folder):
    (folder / "probe.json").write_text("{")


def _other_version(folder):
    description = json.loads((folder / "probe.json").read_text())
    description["parameters"]["of_tomorrow"] = 1
    (folder / "probe.json").write_text(json.dumps(description))


def _no_mean(folder):
    description = json.loads((folder / "probe.json").read_text())
    del description["backbone"]["preprocessing"]["mean"]
    (folder / "probe.json").write_text(json.dumps(description))


def _cut_tensors(folder):
    path = folder / "probe.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("damage", [_cut_description, _cut_tensors, _other_version, _no_mean, shutil.rmtree, _empty])
def test_probes_that_cannot_be_read(run, probe, folder, tmp_path, command, damage):
    copy = shutil.copytree(probe, tmp_path / "probe")
    damage(copy)
    refused(run(command, copy, folder), str(copy))


def test_predictions_never_replace_a_file_unasked(run, probe, folder, tmp_path):
    (tmp_path / "answers.csv").write_text("mine")
    refused(run("predict", probe, folder, "--out", tmp_path / "answers.csv"), "is there already")
    assert (tmp_path / "answers.csv").read_text() == "mine"
    refused(run("predict", probe, folder, "--out", tmp_path / "nowhere" / "answers.csv"), "cannot be written")
    assert run("predict", probe, folder, "--out", tmp_path / "answers.csv", "--overwrite").code == 0


OUTPUTS = {
    "predict": ("PROBE", "DATA", "--out"),
    "compare": ("DATA", "--split", "train", "--test-split", "test", "--out"),
    "extract": ("DATA", "--out"),
    "demo": ("--out",),
    "experiment": ("offset", "--data", "DATA", "--out"),
    "vtab": ("run", "--task", "own=DATA", "--out"),
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_outputs_below_a_file_are_refused_before_any_work(run, probe, folder, tmp_path, monkeypatch, command):
    import_module("head2toe.benchmark.vtab.local")  # imported below for the first time, it would keep what is patched
    for module in ("head2toe.backbones.load", "head2toe.data.read_data", "head2toe.benchmark.demo.run_demo"):
        monkeypatch.setattr(module, lambda *_, **__: pytest.fail("work was begun"))
    (tmp_path / "file").write_text("mine")
    names = {"PROBE": probe, "DATA": folder, "own=DATA": f"own={folder}"}
    refused(run(command, *(names.get(one, one) for one in OUTPUTS[command]), tmp_path / "file" / "out"), "cannot be")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_store_of_something_else(run, backbone, folder, tmp_path):
    command = ("extract", folder, "--backbone", backbone, *FAST)
    refused(run(*command, "--out", folder), "is no feature store")
    assert run(*command, "--out", tmp_path / "store").code == 0
    write_folder(folder, n=3, seed=9)
    before = (tmp_path / "store" / "rows.npy").read_bytes()
    refused(run(*command, "--out", tmp_path / "store"), "made with another request; different: the images")
    assert (tmp_path / "store" / "rows.npy").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit",), "Missing argument 'DATA'"),
        (("fit", "x"), "Missing option '--out'"),
        (("fit", "x", "--out", "y", "--cv", "1"), "--cv"),
        (("fit", "x", "--out", "y", "--fold", "1"), "No such option"),
        (("fits",), "No such command 'fits'"),
        (("fit", "x", "--out", "y", "--target-size", "0"), "--target-size"),
        (("fit", "x", "--out", "y", "--seed", "-1"), "--seed"),
    ],
)
def test_wrong_use(run, arguments, message):
    done = run(*arguments)
    refused(done, message)
    assert "--help" in done.err[0]
