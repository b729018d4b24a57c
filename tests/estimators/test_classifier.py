"""The classifier on images: fitting, predicting, saving, and scikit-learn's tools around it."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from tiny import PREPROCESSING, QUICK, pictures, tiny_network, write_local_dir

from head2toe import Head2ToeClassifier, backbones, features
from head2toe.errors import (
    DataFormatError,
    EmptyDataError,
    OutputExistsError,
    ParameterError,
    UnreadableImageError,
    WeightsMismatchError,
)
from head2toe.estimators import evaluate
from head2toe.estimators.labels import labels_of
from head2toe.probes import heads


def assert_same(actual, expected):
    """Equal logits but for rounding: how a matrix product adds up depends on where its memory starts.

    A small logit is a sum of large terms, and rounds as they do.
    """
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3 + 1e-4 * np.abs(expected).max())


@pytest.fixture(scope="module")
def fitted(local_dir):
    return Head2ToeClassifier(local_dir, **QUICK).fit(*pictures())


def test_fit_learns_and_says_what_it_chose(fitted):
    images, labels = pictures(seed=1)
    assert fitted.score(images, labels) > 0.8
    assert list(fitted.classes_) == ["left", "middle", "right"]
    estimate = fitted.estimated_accuracy_
    head = ("view", "layer_weights", "fraction", "head", "unlabelled")
    tried = {tuple(row[key] for key in head) for row in fitted.search_table_}
    assert {tuple(row[key] for key in head) for row in fitted.choice_["averaged"]} <= tried
    assert 1 / 3 < estimate <= 1
    assert fitted.cv_accuracy_ == fitted.choice_["cv_accuracy"]
    assert fitted.choice_["averaged"][0]["cv_accuracy"] >= fitted.linear_cv_accuracy_
    assert fitted.skipped_ == ()


def test_probabilities_decisions_and_labels_agree(fitted):
    images, _ = pictures(seed=1)
    proba, logits = fitted.predict_proba(images), fitted.decision_function(images)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (fitted.classes_[proba.argmax(axis=1)] == fitted.predict(images)).all()
    assert (fitted.classes_[logits.argmax(axis=1)] == fitted.predict(images)).all()


def test_a_cut_down_network_predicts_what_the_whole_row_says(local_dir):
    """The kept columns, made by a network that stops early, against the probe on full rows."""
    from head2toe import AllLayerFeatures, FeatureProbe

    images, labels = pictures()
    classifier = Head2ToeClassifier(local_dir, **QUICK).fit(images, labels)
    features = AllLayerFeatures(local_dir, target_sizes=(64, 256), cache=False, dtype="float32", batch_size=16).fit()
    rows = features.transform(images)
    probe = FeatureProbe(features.columns_, fractions=(0.1, 1.0), strengths=(0.01,), cv=3).fit(rows, labels)
    (theirs,), (ours,) = classifier.choice_["averaged"], probe.choice_["averaged"]
    loss = {"cv_log_loss": pytest.approx(theirs["cv_log_loss"], rel=1e-6)}
    assert ours == {**theirs, **loss}
    assert probe.choice_ == {**classifier.choice_, **loss, "averaged": [ours]}
    fresh = pictures(seed=1)[0]
    expected = probe.decision_function(features.transform(fresh))
    assert_same(classifier.decision_function(fresh), expected)
    assert (classifier.linear_predict(fresh) == probe.linear_predict(features.transform(fresh))).all()


def test_predict_pools_only_layers_that_kept_a_feature(local_dir):
    images, labels = pictures()
    early = Head2ToeClassifier(local_dir, **{**QUICK, "layers": "layer1.*", "target_sizes": (512,)}).fit(images, labels)
    assert {row["view"] for row in early.choice_["averaged"]} <= {"512", "statistics"}  # of the first layers alone
    ran = []
    module = early._verified_networks().parts[0].module
    module.layer4.register_forward_hook(lambda *args: ran.append("layer4"))
    early.predict(images)
    assert ran == []
    early.linear_predict(images)
    assert ran


def test_outputs_of_both_heads_come_from_one_pass(fitted):
    images, _ = pictures(seed=1)
    both = fitted.outputs(images, linear=True)
    assert_same(both.logits, fitted.outputs(images).logits)
    assert (both.linear_labels == fitted.linear_predict(images)).all()
    assert fitted.outputs(images).linear_labels is None


def test_all_kinds_of_images_give_the_same(fitted, files):
    paths, _ = files
    images, labels = pictures()
    expected = fitted.decision_function(images)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    for same in (paths, [str(path) for path in paths], [Image.fromarray(image) for image in images], tensor):
        assert_same(fitted.decision_function(same), expected)
    assert fitted.score(tensor, labels) == fitted.score(images, labels)


class Pairs(torch.utils.data.Dataset):
    """What torchvision's data sets look like."""

    def __init__(self, images, labels):
        self.images, self.labels_of_mine = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return Image.fromarray(self.images[i]), str(self.labels_of_mine[i])


def test_a_dataset_of_pairs_brings_its_labels(local_dir, fitted, data):
    from_pairs = Head2ToeClassifier(local_dir, **QUICK).fit(Pairs(*data))
    assert_same(from_pairs.decision_function(data[0]), fitted.decision_function(data[0]))
    assert from_pairs.score(Pairs(*data)) == fitted.score(*data)


class Known(Pairs):
    """With labels that need no image to be decoded, as torchvision's have."""

    @property
    def targets(self):
        return self.labels_of_mine


def test_labels_of_a_part_of_a_dataset_need_no_image():
    images, labels = pictures()
    dataset = Known(images, labels)
    dataset.images = [None] * len(labels)  # nothing to decode
    assert list(labels_of(torch.utils.data.Subset(dataset, [3, 1]))) == [labels[3], labels[1]]


def test_a_dataset_with_a_damaged_image_says_which():
    class Damaged(Pairs):
        def __getitem__(self, i):
            if i == 2:
                raise OSError("truncated")
            return super().__getitem__(i)

    with pytest.raises(UnreadableImageError, match="image 2 cannot be read, so its label is not known"):
        labels_of(Damaged(*pictures()))


def test_constructing_cloning_printing_and_pickling_load_nothing(no_loading):
    classifier = Head2ToeClassifier("timm/no_such_network_anywhere", layers="layer1.*", cv=3)
    copy = pickle.loads(pickle.dumps(clone(classifier)))
    assert repr(copy) == repr(classifier)
    assert copy.get_params() == classifier.get_params()


def test_a_pickle_holds_no_network(fitted, local_dir):
    images, _ = pictures(seed=1)
    expected = fitted.decision_function(images)
    written = pickle.dumps(fitted)
    backbone = fitted._verified_networks().parts[0]
    assert len(written) < backbone.body_bytes / 2
    assert_same(pickle.loads(written).decision_function(images), expected)


def test_an_unpickled_classifier_loads_its_network_on_first_use_only(fitted, monkeypatch):
    images, _ = pictures(seed=1)
    loads = []
    real = backbones.load
    monkeypatch.setattr(backbones, "load", lambda *args, **kwargs: loads.append(1) or real(*args, **kwargs))
    copy = pickle.loads(pickle.dumps(fitted))
    assert loads == []
    copy.predict(images)
    copy.predict(images)
    copy.linear_predict(images)
    assert loads == [1]


def test_a_saved_probe_predicts_the_same(fitted, tmp_path):
    images, labels = pictures(seed=1)
    fitted.save(tmp_path / "probe")
    loaded = Head2ToeClassifier.load(tmp_path / "probe")
    assert_same(loaded.decision_function(images), fitted.decision_function(images))
    np.testing.assert_array_equal(loaded.predict(images), fitted.predict(images))
    np.testing.assert_array_equal(loaded.linear_predict(images), fitted.linear_predict(images))
    assert loaded.search_table_ == fitted.search_table_
    assert loaded.cv_accuracy_ == fitted.cv_accuracy_
    assert {name: loaded.get_params()[name] for name in ("backbone", "target_sizes", "fractions", "cv")} == {
        name: fitted.get_params()[name] for name in ("backbone", "target_sizes", "fractions", "cv")
    }
    assert clone(loaded).fit(*pictures()).score(images, labels) == fitted.score(images, labels)


def test_loading_a_probe_loads_no_network(fitted, tmp_path, no_loading):
    fitted.save(tmp_path / "probe")
    assert list(Head2ToeClassifier.load(tmp_path / "probe").classes_) == ["left", "middle", "right"]


def test_a_probe_is_small_and_holds_no_pickle(fitted, tmp_path):
    folder = fitted.save(tmp_path / "probe")
    assert sorted(path.name for path in folder.iterdir()) == ["probe.json", "probe.safetensors"]
    heads = (fitted.probe_.head_, fitted.probe_.linear_head_)
    numbers = sum(len(h.indices) * (3 + 1 + 2) + 3 for h in heads)  # 3 classes, an index, mean and scale
    assert (folder / "probe.safetensors").stat().st_size < 4 * numbers + 2000


def test_integer_labels_and_class_weights_survive_saving(local_dir, tmp_path, data):
    images, labels = data
    numbers = np.unique(labels, return_inverse=True)[1] + 5
    classifier = Head2ToeClassifier(local_dir, **QUICK, class_weight={5: 1.0, 6: 2.0, 7: 1.0}).fit(images, numbers)
    classifier.save(tmp_path / "probe")
    loaded = Head2ToeClassifier.load(tmp_path / "probe")
    assert loaded.class_weight == {5: 1.0, 6: 2.0, 7: 1.0}
    assert loaded.predict(images).dtype == numbers.dtype
    assert (loaded.predict(images) == classifier.predict(images)).all()


def test_other_weights_are_refused(tmp_path, data):
    spec = write_local_dir(tmp_path / "tiny", seed=0)
    Head2ToeClassifier(spec, **QUICK).fit(*data).save(tmp_path / "probe")
    write_local_dir(tmp_path / "tiny", seed=1)
    with pytest.raises(WeightsMismatchError, match="not those the probe was made with"):
        Head2ToeClassifier.load(tmp_path / "probe").predict(data[0])


def test_a_probe_on_a_module_of_ones_own(tmp_path, module, data):
    classifier = Head2ToeClassifier(module, preprocessing=PREPROCESSING, **QUICK).fit(*data)
    classifier.save(tmp_path / "probe")
    loaded = Head2ToeClassifier.load(tmp_path / "probe", backbone=tiny_network())
    assert_same(loaded.decision_function(data[0]), classifier.decision_function(data[0]))
    with pytest.raises(WeightsMismatchError):
        Head2ToeClassifier.load(tmp_path / "probe", backbone=tiny_network(seed=1)).predict(data[0])
    with pytest.raises(ParameterError, match="your own module"):
        Head2ToeClassifier.load(tmp_path / "probe").predict(data[0])


def test_a_probe_is_not_overwritten_unasked(fitted, tmp_path):
    fitted.save(tmp_path / "probe")
    with pytest.raises(OutputExistsError):
        fitted.save(tmp_path / "probe")
    fitted.save(tmp_path / "probe", overwrite=True)


def test_cross_validation_and_grid_search(local_dir, tmp_path, data):
    classifier = Head2ToeClassifier(local_dir, **{**QUICK, "cache": tmp_path})
    scores = cross_val_score(classifier, *data, cv=2)
    assert scores.shape == (2,)
    assert scores.mean() > 0.6
    search = GridSearchCV(classifier, {"layers": ["layer1.*", "layer3.*"]}, cv=2).fit(*data)
    assert search.best_params_["layers"] in ("layer1.*", "layer3.*")
    assert search.predict(data[0]).shape == (30,)


def test_cross_validation_of_a_module_of_ones_own_and_a_list_of_paths(module, files):
    paths, labels = files
    classifier = Head2ToeClassifier(module, preprocessing=PREPROCESSING, **QUICK)
    assert cross_val_score(classifier, paths, labels, cv=2).mean() > 0.6


def test_the_cache_saves_the_forward_pass(local_dir, tmp_path, data, monkeypatch):
    from head2toe.features.extractor import Extractor

    first = Head2ToeClassifier(local_dir, **{**QUICK, "cache": tmp_path}).fit(*data)

    def refuse(*args, **kwargs):
        raise AssertionError("the network ran")

    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "stream", refuse)
        again = Head2ToeClassifier(local_dir, **{**QUICK, "cache": tmp_path}).fit(*data)
    assert_same(again.decision_function(data[0]), first.decision_function(data[0]))


def test_large_rows_without_a_cache_pass_through_a_temporary_folder(local_dir, fitted, data, monkeypatch):
    monkeypatch.setattr("head2toe.features.temporary._IN_MEMORY", 0)
    whole, places = features.extract, []

    def spied(*args, store, **options):
        found = whole(*args, store=store, **options)
        places.append(store)
        assert found.folder == store and (store / "rows.npy").stat().st_size > found.rows.nbytes > 0
        return found

    monkeypatch.setattr(features, "extract", spied)
    by_disk = Head2ToeClassifier(local_dir, **QUICK).fit(*data)
    (place,) = places
    assert not place.parent.exists()
    assert_same(by_disk.decision_function(data[0]), fitted.decision_function(data[0]))


def test_weights_stay_with_their_images(local_dir, files):
    """Mislabelled images of weight zero, behind two that cannot be read: as if all of these were not there."""
    paths, labels = files
    for path in paths[:2]:
        path.write_bytes(b"")
    wrong = [5, 9]
    spoilt = np.array(labels, dtype=object)
    spoilt[wrong] = [next(one for one in labels if one != labels[i]) for i in wrong]
    weight = np.where(np.isin(np.arange(len(paths)), wrong), 0.0, 1.0)
    weighted = Head2ToeClassifier(local_dir, **QUICK).fit(paths, spoilt, weight)
    rest = [i for i in range(2, len(paths)) if i not in wrong]
    without = Head2ToeClassifier(local_dir, **QUICK).fit([paths[i] for i in rest], [labels[i] for i in rest])
    images = [paths[i] for i in rest]
    assert_same(weighted.decision_function(images), without.decision_function(images))
    truth = [labels[i] for i in rest]
    told = np.asarray(weighted.predict(images)) == truth
    share = np.arange(1.0, len(rest) + 1)
    assert weighted.score(images, truth, sample_weight=share) == pytest.approx(np.average(told, weights=share))


def test_unreadable_images_leave_with_their_labels(local_dir, files):
    paths, labels = files
    # Image by image: otherwise two fewer make other batches, which round otherwise.
    options = {**QUICK, "batch_size": 1}
    whole = Head2ToeClassifier(local_dir, **options).fit(paths[2:], labels[2:])
    paths[0].write_bytes(b"")
    paths[1].write_bytes(b"no picture")
    rest = Head2ToeClassifier(local_dir, **options).fit(paths, labels)
    assert [skipped.index for skipped in rest.skipped_] == [0, 1]
    assert_same(rest.decision_function(paths[2:]), whole.decision_function(paths[2:]))
    with pytest.raises(UnreadableImageError):
        Head2ToeClassifier(local_dir, **options, strict=True).fit(paths, labels)
    with pytest.raises(UnreadableImageError):
        rest.predict(paths)
    lenient = rest.outputs(paths, strict=False)
    assert lenient.kept.tolist() == list(range(2, 30))
    assert [skipped.index for skipped in lenient.skipped] == [0, 1]
    assert (lenient.labels == rest.predict(paths[2:])).all()


def test_unlabelled_images_pass_the_network_with_the_others(local_dir, files, data):
    paths, labels = files
    more, _ = pictures(24, seed=5)
    probe = Head2ToeClassifier(local_dir, **QUICK).fit(paths, labels, unlabelled=more)
    assert {row["unlabelled"] for row in probe.search_table_} == {0, 24}
    assert probe.skipped_ == probe.skipped_unlabelled_ == ()
    assert probe.score(*pictures(30, seed=3)) > 0.6
    # Unreadable ones leave, each from its own list.
    paths[0].write_bytes(b"no picture")
    again = Head2ToeClassifier(local_dir, **QUICK).fit(paths, labels, unlabelled=[paths[0], *more[:9]])
    assert [one.index for one in again.skipped_] == [one.index for one in again.skipped_unlabelled_] == [0]
    assert {row["unlabelled"] for row in again.search_table_} == {0, 9}
    with pytest.raises(UnreadableImageError):
        Head2ToeClassifier(local_dir, **QUICK, strict=True).fit(paths[1:], labels[1:], unlabelled=paths[:1])


def test_no_readable_image_is_said_plainly(local_dir, files):
    paths, labels = files
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(EmptyDataError, match="none of the 30 images"):
        Head2ToeClassifier(local_dir, **QUICK).fit(paths, labels)


def test_one_label_an_image_is_needed_to_evaluate(fitted, data):
    images, labels = data
    for some in (labels[:-1], [*labels, "left"]):
        with pytest.raises(DataFormatError, match=f"{len(images)} images but {len(some)} labels"):
            evaluate(fitted, images, some)


def test_a_small_head_size_keeps_the_head_small(local_dir, monkeypatch):
    monkeypatch.setattr(heads, "LEAST_BYTES", 0)  # or any head of so small a network would do
    images, labels = pictures()
    searched = {
        size: Head2ToeClassifier(local_dir, **QUICK, head_size=size).fit(images, labels) for size in (1e-9, None)
    }
    kept = {
        size: [r["features"] for r in found.search_table_ if r["view"] != "linear"] for size, found in searched.items()
    }
    assert max(kept[1e-9]) == 1 < max(kept[None])
    assert "linear" in {row["view"] for row in searched[1e-9].search_table_}


def test_the_description_names_layer_operation_and_offset_of_each_kept_column(fitted, tmp_path):
    description = json.loads((fitted.save(tmp_path / "probe") / "probe.json").read_text())
    blocks = description["plan"]["blocks"]
    stops = [block["stop"] for block in blocks]
    assert int(fitted.probe_.head_.indices.max()) < stops[-1]
    assert {block["layer"] for block in blocks} == {layer["name"] for layer in description["plan"]["layers"]}
    assert description["backbone"]["weights_sha256"] == fitted.backbone_["weights_sha256"]
