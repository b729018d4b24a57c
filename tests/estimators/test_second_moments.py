"""`statistics=("moments", ...)`: second moments of a layer's channels, from rows to a saved probe."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import PREPROCESSING, QUICK, pictures, tiny_network, write_local_dir

from cli.conftest import write_folder
from head2toe import AllLayerFeatures, Head2ToeClassifier
from head2toe.cli import main
from head2toe.errors import ParameterError

OF_NETWORK = {"preprocessing": PREPROCESSING, "statistics": ("moments",), "cache": False, "dtype": "float32"}


def test_a_layer_gives_as_many_as_it_has_channels():
    pooled = AllLayerFeatures(tiny_network(), target_sizes=(), **OF_NETWORK).fit(pictures(6)[0])
    layers = {layer.name: layer for layer in pooled.plan_.layers}
    moments = [block for block in pooled.plan_.blocks if block.operation == "moments"]
    assert len(moments) > 5
    assert all(block.stop - block.start == layers[block.layer].shape[0] for block in moments)


def test_a_probe_of_few_of_them_is_saved_and_says_the_same(tmp_path):
    """Prediction narrows layers to the kept features' channels, but not these."""
    images, labels = pictures()
    options = {**QUICK, **OF_NETWORK, "target_sizes": (), "fractions": (0.03,)}
    probe = Head2ToeClassifier(tiny_network(), **options).fit(images, labels)
    again = Head2ToeClassifier.load(probe.save(tmp_path / "probe"), backbone=tiny_network())
    assert again.statistics == ("moments",)
    np.testing.assert_array_equal(again.predict_proba(images), probe.predict_proba(images))
    pooled = AllLayerFeatures(tiny_network(), target_sizes=(), **OF_NETWORK).fit(images)
    starts = {(block.layer, block.operation): block.start for block in pooled.plan_.blocks}
    kept = [starts[block.layer, block.operation] + np.arange(block.stop - block.start) for block in probe.plan_.blocks]
    of_rows = probe.probe_.predict_proba(pooled.transform(images)[:, np.concatenate(kept)])
    np.testing.assert_allclose(probe.predict_proba(images), of_rows, atol=1e-5)


def test_an_unknown_statistic_is_told_all_that_are_known():
    with pytest.raises(ParameterError, match="mean, std, max, centre, moments"):
        AllLayerFeatures(tiny_network(), **{**OF_NETWORK, "statistics": ("median",)}).fit(pictures(3)[0])


def test_the_command_line_has_them(tmp_path, capsys):
    spec, data = write_local_dir(tmp_path / "tiny", seed=0), write_folder(tmp_path / "pictures", n=3)
    widths = {}
    for listed in ("mean,std", "mean,std,moments"):
        options = ["--backbone", spec, "--target-size", "8", "--statistics", listed, "--json"]
        assert main(["extract", str(data), "--out", str(tmp_path / listed), *options]) == 0
        widths[listed] = json.loads(capsys.readouterr().out)["features"]
    deviations = AllLayerFeatures(spec, target_sizes=(), statistics=("std",), cache=False).fit().plan_
    wanted = sum(block.stop - block.start for block in deviations.blocks if block.operation == "std")
    assert widths["mean,std,moments"] - widths["mean,std"] == wanted > 0
