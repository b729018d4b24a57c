"""Splits, names, last blocks and copies at the edges of what they are."""

from __future__ import annotations

import gc
import logging
import weakref
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from head2toe.benchmark import Task, comparison
from head2toe.benchmark.before_training import check_shared_images, warn_of_unseen_classes
from head2toe.benchmark.fitted import Fitted
from head2toe.benchmark.method import Method
from head2toe.benchmark.rows import TrainingRows, last_blocks
from head2toe.benchmark.seeds import seeds_of
from head2toe.benchmark.tasks import names_of
from head2toe.benchmark.trial import Trial
from head2toe.data import LabelledImages, as_images
from head2toe.errors import TooFewImagesError, UnknownBackboneError, UnreadableImageError
from head2toe.features import Layer


def labelled(labels, groups=None):
    names = [str(i) for i in range(len(labels))]
    images = as_images(np.zeros((len(labels), 4, 5), np.uint8))
    return LabelledImages(images, [str(one) for one in labels], names, groups=groups)


def cell_of(labels, groups=None, validation=200):
    train = labelled(labels, groups)
    return Trial(Task("t", "", train, train, validation), "embedded", backbone=None)


def test_as_many_groups_as_folds_are_enough():
    cell = cell_of([i % 2 for i in range(20)], groups=[str(i % 10 // 2) for i in range(20)])
    assert len(cell.folds) == 5
    assert [len(set(cell.groups[fold.held_out])) for fold in cell.folds] == [1] * 5


def test_a_group_with_an_image_that_no_other_can_stand_for_is_trained_on_whole():
    """Class 2 is in the group 7 alone, as are images of other classes; the last images cut a group in two."""
    labels, groups = [i % 2 for i in range(42)], np.arange(42) // 4
    labels[30] = 2
    cell = cell_of(labels)
    cell.__dict__["groups"] = groups  # past the check that refuses such a class
    first = next(fold for fold in cell.folds if 30 in fold.held_out)
    cell.__dict__["folds"] = (first,)
    assert len(cell.split.held_out) and 2 in cell.y[cell.split.train]
    assert not set(groups[cell.split.train]) & set(groups[cell.split.held_out])


def test_rows_of_a_split_ascend_where_some_come_back_to_be_trained_on():
    cell = cell_of([0, 1] * 10 + [2] + [0, 1] * 10 + [3])
    assert "stratified" in cell.split_name
    assert (np.diff(cell.split.train) > 0).all()


def test_last_images_of_one_class_are_no_sample():
    """Neither sorted by class nor of few: there are two classes, and half of them is one."""
    cell = cell_of([0, 1] * 20 + [0] * 10)
    assert len(np.unique(cell.y[cell.split.held_out])) == 2 and "stratified" in cell.split_name


def test_last_images_that_are_fewer_than_the_classes_can_be_a_sample():
    cell = cell_of([*range(50)] * 8, validation=20)
    assert cell.split.held_out.tolist() == list(range(380, 400))


@pytest.mark.parametrize(
    ("n", "validation", "held_out"), [(400, 200, 200), (399, 200, 79), (4, 200, 1), (1, 200, 1), (10, 0, 2)]
)
def test_what_a_split_holds_out(n, validation, held_out):
    train = labelled([0] * n)
    assert Task("t", "", train, train, validation).held_out == held_out


def test_a_folder_keeps_what_follows_a_dot(tmp_path):
    (tmp_path / "data-v1.0").mkdir()
    assert names_of([tmp_path / "data-v1.0"]) == ["data-v1.0"]
    assert names_of([tmp_path / "a.csv", tmp_path / "a.npz"]) == ["a.csv", "a.npz"]


def layer(name, kind="map", **options):
    shape = {"map": (4, 2, 2), "vector": (4,)}[kind]
    return Layer(name, name, "output", 0, kind, shape, **options)


def test_four_blocks_are_the_last_four():
    layers = [layer("stem"), *(layer(f"blocks.{i}") for i in range(4)), layer("norm")]
    assert [name for name, _ in last_blocks(layers)] == [f"blocks.{i}" for i in range(4)]


def test_outputs_that_are_not_selected_are_no_blocks():
    layers = [*(layer(f"blocks.{i}") for i in range(6)), layer("blocks.6", selected=False)]
    assert [name for name, _ in last_blocks(layers)] == [f"blocks.{i}" for i in range(2, 6)]


def test_vectors_are_no_blocks():
    layers = [*(layer(f"blocks.{i}") for i in range(5)), layer("blocks.5", "vector")]
    assert [name for name, _ in last_blocks(layers)] == [f"blocks.{i}" for i in range(1, 5)]


def test_the_largest_seed():
    assert seeds_of(2**63 - 1) == [2**63 - 1]


def of_files(folder: Path, *values: int, name: str = "{}.png"):
    folder.mkdir()
    paths = [folder / name.format(i) for i in range(len(values))]
    for path, value in zip(paths, values, strict=True):
        Image.new("L", (3, 2), value).save(path, "PNG")
    return LabelledImages(as_images(paths), ["0"] * len(paths), [str(path) for path in paths])


def test_a_copy_of_a_file_whose_name_has_a_line_s_end_is_a_copy(tmp_path, caplog):
    train = of_files(tmp_path / "a", 1, 2, name="of\nlines {}.png")
    with caplog.at_level(logging.WARNING):
        check_shared_images(Task("t", "", train, of_files(tmp_path / "b", 3, 2)))
    assert "t: 1 of 2 test images are training images too" in caplog.text


def test_a_file_that_vanished_is_no_copy(tmp_path, caplog):
    train, test = of_files(tmp_path / "a", 1, 2), of_files(tmp_path / "b", 3, 2)
    identities = [test.identity(i) for i in range(2)]
    (tmp_path / "b" / "1.png").unlink()
    test = LabelledImages(Known(test.images, identities), test.labels, test.names)
    with caplog.at_level(logging.WARNING):
        check_shared_images(Task("t", "", train, test))
    assert not caplog.records


class Known:
    """Images whose identities were asked for before."""

    def __init__(self, images, identities):
        self._images, self._identities = images, identities

    def __len__(self):
        return len(self._images)

    def __getitem__(self, i):
        return self._images[i]

    def identity(self, i):
        return self._identities[i]


def test_one_image_of_a_group_that_is_trained_on_is_told(caplog):
    train = labelled([0, 1], ["film 1", "film 2"])
    images = as_images(np.ones((2, 4, 5), np.uint8))
    test = LabelledImages(images, ["0", "1"], ["a", "b"], groups=["film 3", "film 1"])
    with caplog.at_level(logging.WARNING):
        check_shared_images(Task("t", "", train, test))
    assert "t: 1 of 2 test images are of groups" in caplog.text


def test_a_test_of_copies_is_not_all_known_because_they_are_many(caplog):
    pixels = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 5), np.uint8)
    train = LabelledImages(as_images(pixels[:4]), list("0101"), list("abcd"))
    test = LabelledImages(as_images(pixels[[0, 0, 5]]), list("001"), list("xyz"))
    with caplog.at_level(logging.WARNING):
        check_shared_images(Task("t", "", train, test))
    assert "t: 2 of 3 test images are training images too" in caplog.text


def test_several_unknown_classes_of_a_test_are_counted_by_images(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_unseen_classes(["a"], ["b", "b", "c", "a"], "t")
    assert "t: no training image is of the class b, c: 3 of 4 test images count as errors" in caplog.text


def method(**options):
    return Method("mine", **{"fit": MagicMock(), **options})


def test_no_threads_are_a_number_of_threads():
    with pytest.raises(UnknownBackboneError):
        comparison.compare(cell_of([0, 1]).task, "no such backbone", ["linear"], workers=0)


@pytest.mark.parametrize(("fewest", "refused"), [(8, False), (9, True)])
def test_as_many_images_beside_those_held_out_as_a_method_needs_are_enough(fewest, refused):
    cell = cell_of([0, 1] * 5)
    assert len(cell.split.train) == 8
    with pytest.raises(TooFewImagesError, match=r"^mine: 8 training images") if refused else nullcontext():
        comparison._check_split(cell, [method(fewest_beside=fewest)])


def test_test_images_of_methods_that_train_networks_are_looked_at_too(tmp_path):
    (tmp_path / "a.png").write_bytes(b"none")
    test = LabelledImages(as_images([tmp_path / "a.png"]), ["0"], ["a.png"])
    cell = cell_of([0, 1] * 5)
    cell.task = Task("t", "", cell.task.train, test)
    costed = method(reads_rows=False)
    comparison._check_task(cell, [0], [costed], np.array(["0"]), None)  # nothing is judged
    with pytest.raises(UnreadableImageError, match="a test image cannot be read"):
        comparison._check_task(cell, [0], [replace(costed, trains_network=True)], np.array(["0"]), None)


@pytest.mark.parametrize("given", [0.0, 5.0, None])
def test_the_time_that_a_method_tells_counts_and_else_what_passed(given):
    cell = cell_of([0, 1] * 5)
    comparison._fit(cell, [method(fit=lambda cell: Fitted(0, {}, {}, seconds=given))])
    seconds = cell.fitted["mine"].seconds
    assert seconds is not None and (0 < seconds < 1 if given is None else seconds == given)


def test_test_rows_come_in_the_number_format_of_the_training_rows(monkeypatch):
    cell = cell_of([0, 1] * 5)
    cell.made = SimpleNamespace(plan=None, dtype="bfloat16")
    cell.fitted["mine"] = Fitted(0, {}, {}, of_rows=lambda rows: rows[:, 0])
    extractor, made = MagicMock(), {}
    extractor.return_value.stream.return_value = [SimpleNamespace(rows=np.ones((2, 1))) for _ in range(2)]
    monkeypatch.setattr(comparison.features, "Extractor", extractor)
    comparison._predict_rows([cell], [made], None, {"dtype": "auto", "device": "cpu"})
    asked = extractor.call_args.kwargs
    assert (asked["dtype"], asked["device"], asked["strict"]) == ("bfloat16", "cpu", True)
    assert made["mine"].tolist() == [1] * 4


def test_operations_of_a_method_on_rows_are_those_of_all_its_images_too():
    cell = cell_of([0, 1] * 5)
    shown = SimpleNamespace(size=(4, 5), to_dict=dict)
    cell.backbone = SimpleNamespace(spec="x", weights_sha256="ab", preprocessing=shown)
    cell.made = SimpleNamespace(seconds=2.0, flops=100, dtype="float32")
    cell.fitted["mine"] = Fitted(7, {}, {}, seconds=1.0)
    on_rows = comparison._outcome(cell, method(), None, np.array(["0"]))
    alone = comparison._outcome(cell, method(reads_rows=False), None, np.array(["0"]))
    assert (on_rows.train_flops, on_rows.seconds, alone.train_flops, alone.seconds) == (1007, 3.0, 7, 1.0)


def test_standardised_columns_of_one_view_are_kept_at_a_time():
    views = {"a": np.array([2, 0]), "b": np.array([1, 2])}
    plan = SimpleNamespace(columns=views.__getitem__)
    rows = TrainingRows(
        np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), plan, ("a",), (), 0.0, 0, "float32"
    )
    indices, first = rows.standardised("a")
    assert indices.tolist() == [0, 2] and rows.standardised("a")[1] is first
    held = weakref.ref(first)
    del first
    rows.standardised("b")
    gc.collect()
    assert held() is None


def test_the_papers_sizes_ascend_as_numbers(monkeypatch):
    rows = import_module("head2toe.benchmark.rows")
    monkeypatch.setattr(rows.features, "layers", lambda backbone: (layer("blocks.0"), layer("fc", penultimate=True)))
    _, _, paper = rows.layout(None, (1024, 256))
    assert paper == ("256", "1024")
