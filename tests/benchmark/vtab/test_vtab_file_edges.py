"""Files of data sets that are cut off, damaged, or hold more than the task; cells in folders of odd names."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from benchmark.vtab.original_files import pixels, smaller, write_images, write_tfrecords
from benchmark.vtab.recorder import SETTINGS, Recorder, a_task, run_with
from head2toe.benchmark.tasks import Task
from head2toe.benchmark.vtab import (
    arrays,
    definition,
    dmlab,
    hub,
    layouts,
    photographs,
    read_cells,
    retinopathy,
    scenes,
    smallnorb,
)
from head2toe.benchmark.vtab.cells import Cells
from head2toe.benchmark.vtab.fingerprint import fingerprint
from head2toe.benchmark.vtab.local import LocalTask
from head2toe.data import LabelledImages, as_images
from head2toe.errors import DataFormatError

CELL = {"task": "kitti", "group": "own", "method": "linear", "seed": 0, "accuracy": 0.5, "backbone": "embedded"}


def test_of_a_layout_that_is_begun_what_it_lacks_is_told(tmp_path):
    """The same layout has two places."""
    (tmp_path / "vtab-1k" / "kitti").mkdir(parents=True)
    (tmp_path / "vtab-1k" / "kitti" / "test.txt").write_text("")
    found = layouts.find(tmp_path, definition("kitti"))
    assert found.begun == ("lists",)
    assert len(found.missing["lists"]) == 2
    assert all(file.startswith("vtab-1k") for file in found.missing["lists"])


def test_an_eye_wider_than_its_photograph_is_high_keeps_its_middle():
    image = np.zeros((60, 200, 3), np.uint8)
    image[:, 50:150] = np.random.default_rng(0).integers(60, 255, (60, 100, 3))
    found = np.asarray(retinopathy.prepare(Image.fromarray(image), radius=50))
    assert found.shape == (60, 90, 3)


def test_a_black_photograph_becomes_a_picture_too():
    assert np.asarray(retinopathy.prepare(Image.new("RGB", (80, 60)), radius=30)).max() == 128


def labelled(n, changed=None):
    found = pixels(n)
    if changed is not None:
        found[changed] += 1
    names = [f"train_images[{i}]" for i in range(n)]
    return LabelledImages(as_images(found), ["0"] * n, names, "some.npz")


def test_images_are_looked_at_from_the_first_to_the_last():
    known = fingerprint(Task("a", "own", labelled(200), labelled(0)))
    assert known == fingerprint(Task("a", "own", labelled(200), labelled(0)))
    for changed in (0, 199):
        assert known != fingerprint(Task("a", "own", labelled(200, changed), labelled(0)))


@pytest.mark.parametrize("name", ["..", ".hidden", "../..", "-"])
def test_a_name_of_dots_makes_a_folder_below_that_is_seen(tmp_path, name):
    cells = Cells(tmp_path, name)
    cells.write({**CELL, "backbone": name})
    (found,) = read_cells(tmp_path)
    assert found["backbone"] == name and [cell for _, cell in cells.there()] == [found]


@pytest.mark.parametrize("below", [("out", "embedded"), ("out", "embedded", "kitti"), ()])
def test_who_names_another_folder_is_told_the_one_with_cells(tmp_path, below):
    Cells(tmp_path / "out", "embedded").write(CELL)
    with pytest.raises(DataFormatError) as caught:
        read_cells(tmp_path.joinpath(*below))
    assert str(caught.value).endswith(f"try head2toe vtab table {tmp_path / 'out'}")


@pytest.mark.parametrize("accuracy", [1.5, -0.1, 50])
def test_an_accuracy_is_a_share(tmp_path, accuracy):
    Cells(tmp_path, "embedded").write({**CELL, "accuracy": accuracy})
    with pytest.raises(DataFormatError, match="its accuracy cannot be"):
        read_cells(tmp_path)


SUN = smaller("sun397", ("train", 0, 2), ("validation", 0, 1), ("test", 0, 1))


def test_the_badly_encoded_image_of_sun_is_left_out(tmp_path):
    files = [f"c/church/outdoor/sun_{name}.jpg" for name in ("a", "b", "bhenjvsvrtumjuri", "c", "d")]
    write_images(tmp_path, files)
    (tmp_path / "ClassName.txt").write_text("/c/church/outdoor\n")
    drawn = photographs.read_sun(tmp_path, SUN)
    assert sorted([*drawn.train.names, *drawn.test.names]) == [f"/{file}" for file in files if "bhenj" not in file]


def test_an_image_of_sun_in_no_class_is_refused(tmp_path):
    (tmp_path / "ClassName.txt").write_text("/a/abbey\n")
    for part, names in (("tr", "/a/abbey/a.jpg\n/z/zoo/b.jpg"), ("va", "/a/abbey/c.jpg"), ("te", "/a/abbey/d.jpg")):
        (tmp_path / f"sun397_tfds_{part}.txt").write_text(names)
    with pytest.raises(DataFormatError, match="label -1"):
        photographs.read_sun(tmp_path, SUN)


def test_a_class_of_pets_is_a_number(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "trainval.txt").write_text("cat_1 one 1 1\n")
    with pytest.raises(DataFormatError, match="lines are name, class, species and breed"):
        photographs.read_pets(tmp_path, definition("pets"))


@pytest.mark.parametrize("size", [0, 50, 2**62])
def test_a_record_of_no_bytes_or_of_more_than_the_file_has_is_refused(tmp_path, size):
    path = tmp_path / "dmlab-train.tfrecord"
    path.write_bytes(struct.pack("<QI", size, 0) + bytes(20))
    with pytest.raises(DataFormatError, match="cut off"):
        list(dmlab.records(path))


def test_features_that_are_cut_off_by_one_byte_are_refused(tmp_path):
    write_tfrecords(tmp_path / "a", [{"filename": b"a.jpg", "label": 3, "image": b"pixels"}])
    ((_, data),) = dmlab.records(tmp_path / "a")
    assert dmlab.example(data) == {"filename": b"a.jpg", "label": 3, "image": b"pixels"}
    with pytest.raises(ValueError, match="cut off"):
        dmlab.example(data[:-1])


def test_fields_of_fixed_length_are_passed_over(tmp_path):
    write_tfrecords(tmp_path / "a", [{"filename": b"a.jpg"}])
    ((_, data),) = dmlab.records(tmp_path / "a")
    beside = bytes([9 << 3 | 1]) + bytes(8) + bytes([9 << 3 | 5]) + bytes(4)
    assert dmlab.example(beside + data) == {"filename": b"a.jpg"}


def test_a_matrix_of_smallnorb_has_room_for_three_sizes(tmp_path):
    sizes = struct.pack("<5i", 0x1E3D4C54, 2, 2, 2, 1)
    (tmp_path / "a.mat").write_bytes(sizes + np.arange(4, dtype="<i4").tobytes())
    assert smallnorb.norb_matrix(tmp_path / "a.mat").tolist() == [[0, 1], [2, 3]]


def test_a_file_without_images_is_no_cifar(tmp_path):
    (tmp_path / "train.bin").write_bytes(b"")
    with pytest.raises(DataFormatError, match="no whole number of CIFAR-100's images"):
        arrays.read_cifar_binary(tmp_path, definition("cifar100"))


def test_label_ten_of_svhn_alone_is_zero(tmp_path):
    for name in ("train", "test"):
        labels = np.arange(1, 11, dtype=np.uint8)[:, None]
        savemat(tmp_path / f"{name}_32x32.mat", {"X": np.moveaxis(pixels(10), 0, -1), "y": labels})
    drawn = arrays.read_svhn(tmp_path, smaller("svhn", ("train", 0, 8), ("train", 8, 10), ("test", 0, 10)))
    assert dict(zip(drawn.test.names, drawn.test.labels or (), strict=True)) == {
        str(i): str((i + 1) % 10) for i in range(10)
    }


def test_few_drives_give_each_part_one(tmp_path):
    """Less than ten have no tenth."""
    (tmp_path / "train_rand.txt").write_text("1,2,3,4")
    (tmp_path / "train_mapping.txt").write_text("".join(f"2011 drive_{i % 3} {i}\n" for i in range(4)))
    parts = scenes.kitti_splits(tmp_path)
    assert all(parts.values())
    assert sorted(number for part in parts.values() for number in part) == [0, 1, 2, 3]


@pytest.mark.parametrize(("text", "path"), [("a=b.npz:", "b.npz:"), ("a=:label", ":label")])
def test_a_colon_with_nothing_beside_it_marks_no_label(text, path):
    task = LocalTask.parse(text)
    assert (str(task.path), task.label) == (path, None)


@pytest.mark.parametrize(("n", "held_out"), [(3, 1), (40, 8), (1200, 200)])
def test_a_fifth_is_for_validation_but_never_none_nor_more_than_vtab_has(tmp_path, n, held_out):
    images = np.zeros((n, 2, 2), np.uint8)
    labels = np.arange(n) % 2
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    loaded = LocalTask.parse(f"a={tmp_path / 'a.npz'}").load()
    assert loaded.task.validation == held_out
    assert loaded.facts["train"] + loaded.facts["validation"] == n


def test_options_that_say_the_same_do_not_stop_a_run_that_goes_on(tmp_path):
    kept = []
    for options in ({"target_sizes": (64, 16), "augment": False}, {"target_sizes": [16, 64, 64]}):
        ran = run_with([a_task()], ["linear"], tmp_path, SETTINGS, seeds=0, compare=Recorder(), **options)
        kept.append(ran.kept)
    assert kept == [0, 1]


def test_cells_of_two_number_formats_leave_the_choice_of_the_next(tmp_path):
    for seed, dtype in enumerate(("float32", "bfloat16")):
        Cells(tmp_path, "embedded").write({**CELL, "seed": seed, "dtype": dtype, "settings": SETTINGS.to_dict()})
    asked = []

    def compare(task, backbone, methods, *, dtype="auto", **options):
        asked.append(dtype)
        return []

    run_with([a_task("dtd")], ["linear"], tmp_path, SETTINGS, seeds=0, compare=compare)
    assert asked == ["auto"]


class Column:
    """Stands for a table of `datasets`."""

    column_names = ("image", "label")

    def __init__(self, n):
        self.n, self.features = n, {"image": type("Image", (), {})(), "label": None}

    def __getitem__(self, name):
        return np.zeros(self.n, np.int64)

    def select_columns(self, names):
        return [dict.fromkeys(names, np.zeros((2, 2), np.uint8))] * self.n


def of_hub(monkeypatch, **sizes):
    monkeypatch.setattr(hub, "_load", lambda name: {split: Column(n) for split, n in {**sizes, "test": 3}.items()})
    return hub.read_hub("org/some", definition("kitti"))


def test_vtabs_own_names_go_before_others_of_the_same_size(monkeypatch):
    drawn = of_hub(monkeypatch, train=800, train800=800, validation=200, val200=200)
    assert (drawn.train.names[0], drawn.train.names[-1]) == ("train800[0]", "val200[199]")


@pytest.mark.parametrize(
    "sizes", [{"train": 700, "validation": 300}, {"train": 900, "validation": 150}, {"train": 999}]
)
def test_too_few_images_of_either_part_are_told(monkeypatch, sizes):
    with pytest.raises(DataFormatError, match=r"800 \+ 200 training images are needed"):
        of_hub(monkeypatch, **sizes)


def test_some_of_the_test_images_keep_their_order(tmp_path):
    images, labels = np.zeros((40, 2, 2), np.uint8), np.arange(40)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    task = LocalTask.parse(f"a={tmp_path / 'a.npz'}")
    numbers = [int(label) for label in task.load(test_limit=10).task.test.known_labels()]
    assert len(numbers) == 10 and numbers == sorted(set(numbers)) != list(range(10))
    assert len(task.load(test_limit=40).task.test) == len(task.load(test_limit=41).task.test) == 40
