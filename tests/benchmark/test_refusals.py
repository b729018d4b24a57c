"""What `compare` refuses or tells, and that it does so before anything is trained."""

from __future__ import annotations

import builtins
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from estimators.tiny import PREPROCESSING, pictures, tiny_network
from head2toe import backbones
from head2toe.benchmark import Task, compare
from head2toe.benchmark.before_training import check_readable, check_shared_images
from head2toe.benchmark.methods import METHODS, neighbours
from head2toe.benchmark.trial import Trial
from head2toe.data import LabelledImages, as_images, read_data
from head2toe.errors import (
    ClassTooSmallError,
    ConstantFeaturesError,
    DataFormatError,
    EmptyDataError,
    MissingDependencyError,
    ParameterError,
    TooFewImagesError,
    UnfinishedComparisonError,
    UnreadableImageError,
)
from head2toe.probes.standardised import Standardised


def labelled(n, seed=0, labels=None):
    images, own = pictures(n, seed)
    return LabelledImages(as_images(images), [str(one) for one in (own if labels is None else labels)], [""] * n)


@pytest.fixture
def task():
    return Task("squares", "", labelled(30), labelled(12, 1))


def run(task, names, told=None, **options):
    options = {"steps": 2, "target_sizes": (16,), "dtype": "float32", "preprocessing": PREPROCESSING, **options}
    if told is not None:
        options["progress"] = lambda done, total, text: told.append(text)
    return compare(task, tiny_network(5), names, **options)


def test_labels_that_are_written_otherwise_are_no_zero_per_cent(task):
    train = labelled(30, labels=[i % 3 for i in range(30)])
    test = labelled(12, 1, [float(i % 3) for i in range(12)])
    told = []
    with pytest.raises(
        DataFormatError, match=r"squares: no test label is .*are 0\.0, 1\.0, 2\.0, training labels 0, 1"
    ):
        run(replace(task, train=train, test=test), ["linear"], told)
    assert told == []


def test_test_images_among_the_training_images_are_told(task, caplog):
    half = Task("squares", "", labelled(30), labelled(30))  # the same pixels
    with pytest.raises(ParameterError, match="squares: all test images are among the training images"):
        check_shared_images(half)
    images, own = pictures(12, 1)
    images[0] = pictures(30, 0)[0][0]
    mixed = LabelledImages(as_images(images), [str(one) for one in own], [""] * 12)
    with caplog.at_level(logging.WARNING):
        check_shared_images(replace(task, test=mixed))
    assert "1 of 12 test images are training images too" in caplog.text


def written(folder, images, labels, zipped=False):
    """Images as files, and perhaps those as a zip."""
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / label / f"{i:02d}.png")
    return read_data(shutil.make_archive(str(folder), "zip", folder) if zipped else folder)


@pytest.mark.parametrize("zipped", [(False, False), (False, True), (True, False), (True, True)])
def test_copies_of_training_images_are_told_in_a_zip_too(tmp_path, caplog, zipped):
    images, labels = pictures(30)
    train = written(tmp_path / "train", images, labels, zipped[0])
    test = written(tmp_path / "test", np.concatenate([images[:4], pictures(8, 1)[0]]), labels[:12], zipped[1])
    with caplog.at_level(logging.WARNING):
        check_shared_images(Task("squares", "", train, test))
    assert "squares: 4 of 12 test images are training images too" in caplog.text
    with pytest.raises(ParameterError, match="all test images are among the training images"):
        check_shared_images(
            Task("squares", "", train, written(tmp_path / "again", images[4:9], labels[4:9], zipped[1]))
        )


def no_file(_):
    raise PermissionError


def test_files_that_cannot_be_read_are_no_copies(tmp_path, caplog, monkeypatch):
    task = Task("squares", "", *(written(tmp_path / name, *pictures(6)) for name in ("train", "test")))
    files = sorted(tmp_path.rglob("*.png"))
    with caplog.at_level(logging.WARNING):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", no_file)
            check_shared_images(task)
        for path in files:
            if path.name != "00.png":
                path.unlink()
        assert caplog.messages == []
        check_shared_images(task)
        assert caplog.messages == ["squares: 1 of 6 test images are training images too: accuracy is flattered"]
        caplog.clear()
        for path in files:
            path.unlink(missing_ok=True)
        check_shared_images(task)
    assert caplog.messages == []


def test_there_must_be_something_to_judge_by(task):
    empty = LabelledImages(as_images(np.zeros((0, 8, 8, 3), np.uint8)), [], [])
    with pytest.raises(EmptyDataError, match="no test image"):
        run(replace(task, test=empty), ["linear"])


def test_classes_that_training_lacks_are_named_in_the_log(task, caplog):
    names = ["up", "down", "up", *task.test.labels[3:]]
    with caplog.at_level(logging.WARNING, "head2toe"):
        run(task, ["linear"])
        assert caplog.messages == []
        (one,) = run(replace(task, test=replace(task.test, labels=names)), ["linear"])
    assert caplog.messages == [
        "squares: no training image is of the class down, up: 3 of 12 test images count as errors"
    ]
    assert one.accuracy <= 9 / 12


def test_methods_that_cannot_hold_images_out_are_refused_before_any_training(task):
    train = labelled(6, labels="abcdef")
    alone, told = replace(task, train=train, test=labelled(6, 1, "abcdef")), []
    with pytest.raises(ClassTooSmallError, match=r"^all-l1, all-gl: no class has two images"):
        run(alone, ["linear", "all-l1", "all-gl"], told)
    assert told == []
    assert [one.method for one in run(alone, ["linear", "knn"])] == ["linear", "knn"]


def test_a_search_beside_the_images_held_out_needs_some(task):
    told = []
    with pytest.raises(TooFewImagesError, match=r"^head2toe-ft: 4 training images are left when 1 .*5 are needed"):
        run(replace(task, train=labelled(5)), ["linear", "head2toe-ft"], told)
    assert told == []


@pytest.mark.parametrize("labels", ["abccde", "abcdee", "aabcde"])
def test_one_class_of_two_images_is_enough_wherever_it_is_dealt(task, labels):
    cell = Trial(replace(task, train=labelled(6, labels=labels)), "embedded", backbone=None)
    (held_out,) = cell.split.held_out
    assert labels.count(labels[held_out]) == 2 and len(cell.split.train) == 5


@pytest.mark.parametrize("name", ["lora", "finetune", "finetune-official", "scratch", "finetune-cost"])
def test_a_backbone_that_a_method_cannot_use_is_refused_before_any_work(task, name, monkeypatch):
    told, load = [], backbones.load
    monkeypatch.setattr(backbones, "load", lambda *a, **k: replace(load(*a, **k), classifier=None))
    with pytest.raises(ParameterError, match=f"^{name}: .* has no classifier to replace: use a backbone with one"):
        run(task, ["linear", name], told)
    assert told == []


@pytest.mark.parametrize(
    ("spec", "message"), [(None, "pip install peft"), ("there", "which cannot be imported: no transformers")]
)
def test_lora_without_peft_is_refused_before_any_work(task, monkeypatch, spec, message):
    def no(name, *rest):
        if name == "peft":
            raise ImportError("no transformers")
        return there(name, *rest)

    there, load, told = builtins.__import__, backbones.load, []
    monkeypatch.setattr(backbones, "load", lambda *a, **k: replace(load(*a, **k), classifier="fc"))
    monkeypatch.setattr(builtins, "__import__", no)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with pytest.raises(MissingDependencyError, match=f"^lora: LoRA needs peft.*{message}"):
        run(task, ["linear", "lora"], told)
    assert told == []


def test_a_failure_names_its_method(task, monkeypatch):
    def fail(cell):
        raise ConstantFeaturesError("all features are the same")

    monkeypatch.setitem(METHODS, "knn", replace(METHODS["knn"], fit=fail))
    with pytest.raises(UnfinishedComparisonError, match=r"^knn: all features are the same$"):
        run(task, ["linear", "knn"])
    with pytest.raises(ConstantFeaturesError, match=r"^knn: all features are the same$"):
        run(task, ["knn"])


@pytest.mark.parametrize("name", ["all-l1", "all-gl"])
def test_a_path_needs_features_that_vary(task, name):
    rows = Standardised(np.full((len(task.train), 4), 7, np.float32))
    made = SimpleNamespace(paper_views=("16",), standardised=lambda view: (np.arange(4), rows))
    with pytest.raises(ConstantFeaturesError, match=r"^all 4 features are the same for every image: "):
        METHODS[name].fit(Trial(task, "embedded", backbone=None, made=made))


def test_too_few_images_for_the_folds_are_told_without_an_option_that_there_is_not(task):
    with pytest.raises(TooFewImagesError, match=r"2 training images .* 5 folds") as caught:
        run(replace(task, train=labelled(2)), ["linear"])
    assert "cv" not in str(caught.value)


class Damaged:
    """Images of which one cannot be read; counts how often each is asked for."""

    def __init__(self, images, bad):
        self.images, self.bad, self.asked = images, bad, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        self.asked.append(i)
        if i == self.bad:
            raise UnreadableImageError(f"image {i}: truncated")
        return self.images[i]

    def identity(self, i):
        return str(i)


def test_a_damaged_test_image_is_met_before_any_training(task):
    told = []
    test = replace(task.test, images=Damaged(task.test.images, 7))
    with pytest.raises(UnreadableImageError, match="a test image cannot be read: image 7: truncated"):
        run(replace(task, test=test), ["linear"], told)
    assert told == ["whether the test images can be read"]


def test_a_damaged_training_image_is_told_with_what_can_be_done(task):
    train = replace(task.train, images=Damaged(task.train.images, 7))
    wanted = "a train image cannot be read: image 7: truncated; methods are trained on all of them: mend it or leave it"
    with pytest.raises(UnreadableImageError, match=wanted):
        run(replace(task, train=train), ["linear"])


def test_test_images_are_read_twice_and_not_where_nothing_is_judged(task):
    images = Damaged(task.test.images, None)
    seen = replace(task, test=replace(task.test, images=images))
    run(seen, ["linear", "knn"], seed=[0, 1])
    assert sorted(images.asked) == sorted([*range(12), *range(12)])
    images.bad = 0
    before = len(images.asked)
    assert run(seen, ["finetune-cost"])[0].accuracy is None and len(images.asked) == before


def test_a_truncated_file_is_no_readable_image(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    for name in ("whole.png", "cut.png"):
        Image.fromarray(noise).save(tmp_path / name)
    check_readable(as_images([tmp_path / "whole.png"]))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:3000])
    with pytest.raises(UnreadableImageError, match=r"cut\.png"):
        check_readable(as_images([tmp_path / "whole.png", tmp_path / "cut.png"]))


@pytest.mark.parametrize("seed", [-1, [], [0, -1], None, True, 1.5, "3", 2**63])
def test_a_seed_is_a_whole_number(task, seed):
    with pytest.raises(ParameterError, match="seed is"):
        run(task, ["linear"], seed=seed)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 0}, "steps is 0"), ({"steps": "a"}, "steps is 'a'"), ({"workers": -1}, "workers is -1")],
)
def test_parameters_are_looked_at_first(options, message):
    with pytest.raises(ParameterError, match=message):
        compare(None, "no such backbone", ["linear"], **options)


def test_an_unknown_option_is_told_with_those_that_there_are():
    with pytest.raises(TypeError, match=r"no option 'bogus': .* dtype, device, batch_size, workers"):
        compare(None, "no such backbone", ["linear"], bogus=1)


def test_seeds_may_be_numpy_and_each_is_run_once(task):
    assert [one.seed for one in run(task, "knn", seed=np.int64(1))] == [1]
    found = run(task, "knn", seed=np.array([0, 1, 0]))
    assert [one.seed for one in found] == [0, 1] and all(type(one.seed) is int for one in found)


@pytest.mark.parametrize(("names", "message"), [(3, "no method"), ([3], "unknown method 3"), ("svm", "method 'svm'")])
def test_methods_are_names(names, message):
    with pytest.raises(ParameterError, match=message):
        compare(None, "no such backbone", names)


def test_neighbours_are_those_that_there_are(task, monkeypatch):
    monkeypatch.setattr(neighbours, "NEIGHBOURS", (50,))
    (one,) = run(task, ["knn"])
    assert one.choice["neighbours"] == 30
    monkeypatch.setattr(neighbours, "NEIGHBOURS", (3,))
    (one,) = run(task, ["knn"])
    assert one.choice["neighbours"] == 3
