"""Networks of other kinds, and number formats that change from one run to the next."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from benchmark.experiments.conftest import labelled
from head2toe import features
from head2toe.benchmark.experiments.affine import Linearised, r2
from head2toe.benchmark.experiments.laboratory import Laboratory
from head2toe.benchmark.experiments.networks import trained
from head2toe.benchmark.experiments.running import run_experiment
from head2toe.benchmark.tasks import Task
from head2toe.errors import ClassTooSmallError, ParameterError, TooFewImagesError

ATTENTION = "test_vit"


def write_vit(folder):
    network = timm.create_model(ATTENTION, num_classes=10)
    told = {"input_size": [3, 160, 160], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear"}
    told |= {"crop_pct": 1.0, "classifier": "head", "first_conv": "patch_embed.proj", "num_classes": 10}
    (folder / "config.json").write_text(
        json.dumps({"architecture": ATTENTION, "num_classes": 10, "pretrained_cfg": told})
    )
    save_file({name: part.contiguous() for name, part in network.state_dict().items()}, folder / "model.safetensors")
    return f"timm/local-dir:{folder}"


def test_a_network_with_attention_has_a_first_order_one(laboratory, tmp_path):
    spec = write_vit(tmp_path)
    task = Task("few", "", labelled(12, 0), labelled(6, 1))
    other = replace(laboratory, tasks=[task], specs={"vit": spec}, memory={})
    network = trained(other, task, pretrained=True, learning_rate=1e-4, keep_statistics=True)
    end, first, frozen = Linearised(network, spec).logits(task.test.images)
    assert r2(first, end) > 0.999 and abs(end - frozen).max() > 0


def test_all_rows_are_in_the_number_format_of_the_first(laboratory, monkeypatch):
    extract, asked, trials = features.extract, [], iter(("bfloat16", "float32", "bfloat16", "float32"))

    def on_another_day(*given, dtype="auto", **options):
        asked.append(dtype)
        return replace(extract(*given, **options), dtype=next(trials) if dtype == "auto" else dtype)

    monkeypatch.setattr(features, "extract", on_another_day)
    other = replace(laboratory, run_options={}, memory={}, formats={})
    other.rows(other.tasks[0])
    other.rows(other.tasks[1])
    assert asked == ["auto", "auto", "bfloat16", "auto", "auto", "bfloat16"]
    assert other.formats == {"tiny10": "bfloat16"}


@pytest.mark.parametrize("name", ["affine", "affinity"])
def test_a_backbone_that_cannot_be_trained_is_refused_before_any_work(laboratory, tmp_path, monkeypatch, name):
    def headless(self, label):
        return replace(load(self, label)[0], classifier=None), load(self, label)[1]

    load = Laboratory._load
    monkeypatch.setattr(Laboratory, "_load", headless)
    monkeypatch.setattr("head2toe.benchmark.before_training.read", lambda *_, **__: pytest.fail("images were read"))
    monkeypatch.setattr(features, "extract", lambda *_, **__: pytest.fail("rows were made"))
    with pytest.raises(ParameterError, match="has no classifier to replace"):
        run_experiment(name, replace(laboratory, memory={}), tmp_path)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("shots", ClassTooSmallError, "1 of its images are of its smallest class, and 2 are needed: add images"),
        ("backbones", ParameterError, "need two different ones"),
    ],
)
def test_what_is_too_few_is_told_with_what_can_be_done(laboratory, tmp_path, name, error, message):
    train = labelled(36, 0)
    task = Task("few", "", replace(train, labels=["up", *train.labels[1:]]), labelled(6, 1))
    first = dict([next(iter(laboratory.specs.items()))])
    with pytest.raises(error, match=message):
        run_experiment(name, replace(laboratory, tasks=[task], specs=first, memory={}), tmp_path)


def test_one_test_image_is_refused_before_a_network_is_trained(laboratory, tmp_path, monkeypatch):
    monkeypatch.setattr("head2toe.benchmark.experiments.affine.trained", lambda *_, **__: pytest.fail("trained"))
    monkeypatch.setattr("head2toe.benchmark.before_training.read", lambda *_, **__: pytest.fail("images were read"))
    one = replace(laboratory.tasks[1], test=labelled(1, 5))
    other = replace(laboratory, tasks=[laboratory.tasks[0], one], memory={})
    with pytest.raises(TooFewImagesError, match="second: 1 test image, and the variance of logits over images needs 2"):
        run_experiment("affine", other, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_share_of_logits_that_do_not_vary_is_a_number():
    same = np.tile(np.array([[1.0, 2.0, 4.0]], np.float32), (3, 1))
    assert r2(same, same) == 1 and r2(same + np.eye(3, dtype=np.float32), same) == 0
    assert r2(same, np.eye(3, dtype=np.float32)) < 0.5


@pytest.mark.parametrize("folds", [2, 3])
def test_training_images_too_few_for_draws_are_refused_before_any_row(laboratory, tmp_path, monkeypatch, folds):
    settings = replace(laboratory.settings, folds=folds)
    least = {2: 10, 3: 8}[folds]
    task = Task("few", "", labelled(least, 0), labelled(6, 1))
    other = replace(laboratory, tasks=[task], memory={}, settings=settings)
    assert len(run_experiment("stability", other, tmp_path / "enough")["rows"]) == 8
    few = Task("fewer", "", labelled(least - 1, 0), labelled(6, 1))
    monkeypatch.setattr(features, "extract", lambda *_, **__: pytest.fail("rows were made"))
    told = f"fewer: {least - 1} training images, .* in {folds} folds need {least}"
    with pytest.raises(TooFewImagesError, match=told):
        run_experiment("stability", replace(other, tasks=[task, few], memory={}), tmp_path / "few")
    assert not (tmp_path / "few").exists()
