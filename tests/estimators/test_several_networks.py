"""Several backbones under one probe; what predictions save; budgets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import PREPROCESSING, pictures, tiny_network, write_local_dir

from head2toe import AllLayerFeatures, Head2ToeClassifier
from head2toe.backbones import load
from head2toe.data import as_images
from head2toe.errors import ParameterError, WeightsMismatchError
from head2toe.estimators.networks import Networks
from head2toe.features import layers

OPTIONS = {"target_sizes": (64,), "cv": 2, "dtype": "float32", "batch_size": 16}


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Two networks of the same architecture with other weights."""
    folder = tmp_path_factory.mktemp("hub")
    return [write_local_dir(folder / name, seed) for seed, name in enumerate("ab")]


@pytest.fixture(scope="module")
def fitted(specs, tmp_path_factory):
    images, labels = pictures()
    cache = tmp_path_factory.mktemp("cache")
    return Head2ToeClassifier(specs, cache=cache, **OPTIONS).fit(images, labels)


def test_rows_stand_side_by_side_and_each_network_has_its_own_store(specs, tmp_path):
    images, _ = pictures(6)
    options = {"target_sizes": (64,), "cache": tmp_path, "dtype": "float32"}
    alone = [AllLayerFeatures(spec, **options).fit_transform(images) for spec in specs]
    before = sorted(path.name for path in tmp_path.iterdir())
    both = AllLayerFeatures(specs, **options)
    np.testing.assert_array_equal(both.fit_transform(images), np.concatenate(alone, axis=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == before  # nothing was computed or stored again
    names = both.get_feature_names_out()
    assert names[0].startswith("0/") and names[-1].startswith("1/") and len(names) == both.plan_.d


def test_the_probe_reads_both_networks(fitted, specs):
    images, labels = pictures()
    options = {"target_sizes": (64,), "statistics": fitted.statistics, "cache": False, "dtype": "float32"}
    rows = AllLayerFeatures(specs, **options).fit(images)
    assert {block.layer[:2] for block in fitted.plan_.blocks} == {"0/", "1/"}
    assert fitted.score(images, labels) > 0.9
    # The logits are those of the head over the whole rows' columns.
    whole = rows.transform(images)
    start = {(b.layer, b.operation): b.start for b in rows.plan_.blocks}
    columns = np.concatenate([start[b.layer, b.operation] + np.arange(b.stop - b.start) for b in fitted.plan_.blocks])
    logits = fitted.decision_function(images)
    by_hand = fitted.probe_.decision_function(whole[:, columns])
    np.testing.assert_allclose(by_hand, logits, rtol=0, atol=1e-6 * np.abs(logits).max())


def test_saved_and_loaded_predictions_are_the_same(fitted, tmp_path):
    images, _ = pictures(200, seed=1)  # more than go through one network before the next
    again = Head2ToeClassifier.load(fitted.save(tmp_path / "probe"), cache=False)
    np.testing.assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))
    assert (again.flops_, again.flops_saved_) == (fitted.flops_, fitted.flops_saved_)


def test_other_weights_under_a_saved_probe_are_refused(fitted, specs, tmp_path):
    folder = fitted.save(tmp_path / "probe")
    images, _ = pictures(2)
    with pytest.raises(WeightsMismatchError, match="not those the probe was made with"):
        Head2ToeClassifier.load(folder, backbone=specs[::-1]).predict(images)
    with pytest.raises(WeightsMismatchError, match="made with 2 backbones, not with 1"):
        Head2ToeClassifier.load(folder, backbone=specs[0], preprocessing=PREPROCESSING).predict(images)


def test_an_image_that_cannot_be_read_leaves_once(specs, tmp_path):
    from PIL import Image

    images, labels = pictures()
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    paths[4].write_bytes(b"junk")
    probe = Head2ToeClassifier(specs, cache=False, **OPTIONS).fit(paths, labels)
    assert [one.index for one in probe.skipped_] == [4]
    outputs = probe.outputs(paths, strict=False)
    assert [one.index for one in outputs.skipped] == [4] and len(outputs.logits) == len(images) - 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": []}, "empty list"),
        ({"weights": "a.safetensors"}, "list of 2"),
        ({"preprocessing": [None]}, "of 2"),
    ],
)
def test_lists_that_do_not_fit_are_refused(specs, parameters, message):
    images, labels = pictures()
    with pytest.raises(ParameterError, match=message):
        Head2ToeClassifier(**{"backbone": specs, **OPTIONS, **parameters}).fit(images, labels)


def test_a_network_without_a_kept_feature_does_not_run(specs):
    networks = Networks(tuple(load(spec) for spec in specs))
    plan, costs = networks.lay_out(None, (64,))
    images, _ = pictures(3)
    ran = []
    networks.parts[0].module.register_forward_hook(lambda *_: ran.append(0))
    networks.parts[1].module.register_forward_hook(lambda *_: ran.append(1))
    columns = np.arange(plan.d - 3, plan.d)
    extractor = networks.extractor(plan, columns, "float32", progress=False, batch_size=2)
    ran.clear()
    (batch,) = extractor.stream(as_images(images))
    assert set(ran) <= {1} and batch.rows.shape == (3, 3)
    last = plan.blocks[-1].layer
    assert costs.saved([last]) == costs.parts[0].total + costs.parts[1].saved([last.removeprefix("1/")])


def test_predictions_stop_after_the_last_layer_that_kept_a_feature():
    module = tiny_network()
    ends = []
    module.layer4.register_forward_hook(lambda *_: ends.append(1))
    images, labels = pictures()
    probe = Head2ToeClassifier(module, preprocessing=PREPROCESSING, budget=0.5, cache=False, **OPTIONS)
    probe.fit(images, labels)
    assert 0.5 * probe.flops_ <= probe.flops_saved_ < probe.flops_
    ends.clear()
    probe.predict(images)
    probe._extractor = None
    probe.predict(images)
    assert not ends
    assert not any(block.layer.startswith(("layer4", "fc")) for block in probe.plan_.blocks)


def test_without_a_budget_nothing_is_cut(specs):
    images, labels = pictures()
    classifier = Head2ToeClassifier(specs[0], cache=False, **OPTIONS)
    networks = classifier._load_networks()
    plan, _ = classifier._lay_out(networks, None)
    selected = {layer.name for layer in layers(networks.parts[0]) if layer.selected}
    assert {layer.name for layer in plan.layers} >= selected
    with pytest.raises(ParameterError, match="budget"):
        Head2ToeClassifier(specs[0], budget=2, cache=False, **OPTIONS).fit(images, labels)


def test_image_size_is_kept_with_the_probe(specs, tmp_path):
    images, labels = pictures()
    probe = Head2ToeClassifier(specs[0], image_size=48, cache=False, **OPTIONS).fit(images, labels)
    assert probe.backbone_["preprocessing"]["size"] == [48, 48]
    again = Head2ToeClassifier.load(probe.save(tmp_path / "probe"), cache=False)
    np.testing.assert_array_equal(again.predict_proba(images), probe.predict_proba(images))


def test_a_changed_revision_is_named(specs):
    networks = Networks((replace(load(specs[0]), revision="new"),))
    written = {**networks.described(), "weights_sha256": "0" * 64, "revision": "old"}
    with pytest.raises(WeightsMismatchError, match="revision new instead of old"):
        networks.check(written)


def test_a_parameter_in_a_list_of_one_is_that_of_the_one():
    from head2toe.estimators.frozen import _each

    assert _each("weights", ["f.pt"], 1) == _each("weights", ("f.pt",), 1) == _each("weights", "f.pt", 1) == ["f.pt"]
    for value, count in ((["a", "b"], 1), ("a", 2)):
        with pytest.raises(ParameterError, match=f"a list of {count}"):
            _each("weights", value, count)
