"""Parameters that a saved probe keeps: those that made it, not those of a machine, and as they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tiny import PREPROCESSING, QUICK, tiny_network

from head2toe import Head2ToeClassifier
from head2toe.estimators.saving import _from_plain, _parameters

MACHINE = {"cache": False, "device": "cpu", "batch_size": 3, "verbose": True}
MADE_BY = {
    "layers": ["layer1.*", "layer2"],
    "target_sizes": (256, 512),
    "class_weight": {1: 2.0, 3: 0.5},
    "fractions": (np.float64(0.1), 1.0),
    "random_state": np.int64(7),
}


def test_parameters_come_back_as_they_were_but_for_those_of_the_machine(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    classifier = Head2ToeClassifier("resnet18", weights="weights.safetensors", **MADE_BY, **MACHINE)
    kept = json.loads(json.dumps(_parameters(classifier)))
    assert not kept.keys() & {*MACHINE, "backbone", "preprocessing"}
    assert Path(kept.pop("weights")) == tmp_path / "weights.safetensors"  # found from anywhere
    again = Head2ToeClassifier("resnet18", **{name: _from_plain(name, value) for name, value in kept.items()})
    assert {name: value for name, value in again.get_params().items() if name in MADE_BY} == MADE_BY
    others = again.get_params().keys() - {*MADE_BY, *MACHINE, "weights"}
    assert all(again.get_params()[name] == classifier.get_params()[name] for name in others)


def test_what_is_given_on_loading_counts_and_weights_stay_with_their_network(data, tmp_path) -> None:
    classifier = Head2ToeClassifier(tiny_network(), preprocessing=PREPROCESSING, **QUICK).fit(*data)
    classifier.set_params(weights="weights.safetensors").save(tmp_path / "probe")
    loaded = Head2ToeClassifier.load(tmp_path / "probe", cv=7, device="cpu")
    assert (loaded.cv, loaded.device, loaded.target_sizes) == (7, "cpu", QUICK["target_sizes"])
    assert Path(loaded.weights).name == "weights.safetensors"
    assert Head2ToeClassifier.load(tmp_path / "probe", backbone=tiny_network()).weights is None
