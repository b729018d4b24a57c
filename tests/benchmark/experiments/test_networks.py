"""Networks of other kinds, and number formats that change from one run to the next."""

from __future__ import annotations

import json
from dataclasses import replace

import timm
from safetensors.torch import save_file

from benchmark.experiments.conftest import labelled
from head2toe import features
from head2toe.benchmark.experiments.affine import Linearised, r2
from head2toe.benchmark.experiments.networks import trained
from head2toe.benchmark.tasks import Task

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
