"""Tasks found below a folder, in lists, on the hub and among the user's own data."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmark.vtab.original_files import pixels, write_clevr, write_images, write_norb
from head2toe.benchmark.vtab import NAMES, LocalTask, definition, load_task, presence
from head2toe.benchmark.vtab.definitions import NORB_FILES
from head2toe.benchmark.vtab.hub import read_hub
from head2toe.benchmark.vtab.layouts import layouts
from head2toe.errors import DataFormatError, MissingDependencyError, MissingLabelError, ParameterError


def write_lists(folder, *, train=800, val=200, test=711, classes=4, both=False):
    """A task's folder in the layout of NOAH; few files, named many times."""
    write_images(folder, [f"images/{i}.jpg" for i in range(classes)])
    lists = {"train800": train, "val200": val, "test": test}
    rows = {name: [f"images/{i % classes}.jpg {i % classes}" for i in range(n)] for name, n in lists.items()}
    if both:
        rows["train800val200"] = [*rows.pop("train800"), *rows.pop("val200")]
    for name, lines in rows.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("place", ["kitti", "vtab-1k/kitti"])
def test_lists_are_read_as_they_are(tmp_path, both, place):
    write_lists(tmp_path / place, both=both)
    loaded = load_task("kitti", tmp_path)
    task = loaded.task
    assert (len(task.train), len(task.test), task.validation, task.group) == (1000, 711, 200, "structured")
    assert task.train.labels[:5] == ["0", "1", "2", "3", "0"]
    assert np.array_equal(np.asarray(task.test[2]), pixels(4)[2])
    assert loaded.facts == {
        "layout": "lists",
        "order": "as listed in the folder",
        "train": 800,
        "validation": 200,
        "test": 711,
        "test_of": 711,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": 799}, "999 training images, VTAB-1k has 1,000"),
        ({"test": 710}, "710 images, VTAB-1k has 711"),
        ({"classes": 5}, "label 4, but the classes of kitti are 0 to 3"),
    ],
)
def test_lists_of_another_size_or_with_other_classes_are_refused(tmp_path, change, message):
    write_lists(tmp_path / "kitti", **change)
    with pytest.raises(DataFormatError, match=message):
        load_task("kitti", tmp_path)


def test_a_line_that_is_no_path_and_label_is_named(tmp_path):
    folder = write_lists(tmp_path / "kitti")
    (folder / "test.txt").write_text("images/0.jpg 0\nimages/1.jpg car\n")
    with pytest.raises(DataFormatError, match=r"test.txt, line 2: a path and a class number"):
        load_task("kitti", tmp_path)


def test_some_of_the_test_images_are_drawn_and_counted(tmp_path):
    write_lists(tmp_path / "kitti")
    some, again = (load_task("kitti", tmp_path, test_limit=50) for _ in range(2))
    assert len(some.task.test) == 50 and (some.facts["test"], some.facts["test_of"]) == (50, 711)
    assert some.task.test.labels == again.task.test.labels
    for i in range(5):
        label = int(some.task.test.labels[i])
        assert np.array_equal(np.asarray(some.task.test[i]), pixels(4)[label])
    assert len({some.task.test.identity(i) for i in range(50)}) == 4


def test_a_task_that_is_not_there_says_what_is_missing_and_where_it_is(tmp_path):
    with pytest.raises(DataFormatError, match=r"missing lists: kitti/test.txt.*torchvision: Kitti/raw.*cvlibs"):
        load_task("kitti", tmp_path)
    with pytest.raises(ParameterError, match="no layout original: it has lists, torchvision"):
        load_task("kitti", tmp_path, layout="original")
    with pytest.raises(ParameterError, match="one of root and hub"):
        load_task("kitti")


def test_presence_tells_layouts_apart(tmp_path):
    write_lists(tmp_path / "kitti")
    write_clevr(tmp_path / "clevr" / "CLEVR_v1.0", "train", [[9.0] * 3])
    for stem in NORB_FILES.values():
        for kind in ("dat", "info"):
            write_norb(tmp_path / "smallnorb" / f"{stem}-{kind}.mat", np.zeros((1, 1, 1), np.uint8))
    found = {one.definition.name: one for one in presence(tmp_path)}
    assert list(found) == list(NAMES)
    there = {name: one.layout.name for name, one in found.items() if one.layout}
    assert there == {"kitti": "lists", "smallnorb-azimuth": "original", "smallnorb-elevation": "original"}
    clevr = found["clevr-count"]
    assert clevr.begun == ("torchvision",)
    assert clevr.missing["torchvision"] == [
        "clevr/CLEVR_v1.0/images/val",
        "clevr/CLEVR_v1.0/scenes/CLEVR_val_scenes.json",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_a_layout_besides_lists_and_its_reader_is_there(name):
    import importlib

    kinds = layouts(definition(name))
    assert {"lists"} < {one.name for one in kinds}
    for one in kinds:
        assert callable(getattr(importlib.import_module(f"head2toe.benchmark.vtab.{one.module}"), one.function))


# --- Hugging Face


@pytest.fixture(scope="module")
def hugging_face():
    return pytest.importorskip("datasets", reason="needs the extra vtab")


def _table(datasets, n, seed=0, column="label"):
    from PIL import Image

    images = [Image.fromarray(image) for image in pixels(8, 4, seed)]
    features = datasets.Features({"image": datasets.Image(), column: datasets.ClassLabel(num_classes=4)})
    rows = {"image": [images[i % 8] for i in range(n)], column: [i % 4 for i in range(n)]}
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_folder_of_datasets_is_drawn_with_a_seed(tmp_path, hugging_face):
    tables = {"train": _table(hugging_face, 1100), "test": _table(hugging_face, 40)}
    hugging_face.DatasetDict(tables).save_to_disk(str(tmp_path / "saved"))
    loaded = load_task("kitti", hub=str(tmp_path / "saved"))
    assert (len(loaded.task.train), len(loaded.task.test)) == (1000, 40)
    assert len(set(loaded.task.train.names)) == 1000  # no image twice
    number = int(loaded.task.train.names[3][6:-1])
    assert loaded.task.train.labels[3] == str(number % 4)
    assert np.array_equal(np.asarray(loaded.task.train[3]), pixels(8, 4)[number % 8])
    assert "drawn with seed 0" in loaded.facts["order"] and loaded.facts["layout"] == "hub"
    assert loaded.facts["test_of"] == 711  # that the copy has another number of test images is not hidden


def test_parquet_files_with_vtabs_own_splits_are_taken_as_they_are(tmp_path, hugging_face):
    (tmp_path / "data").mkdir()
    for name, n in (("train", 800), ("validation", 200), ("test", 20)):
        _table(hugging_face, n, column="fine_label").to_parquet(
            str(tmp_path / "data" / f"{name}-00000-of-00001.parquet")
        )
    drawn = read_hub(str(tmp_path), definition("kitti"))
    assert drawn.train.names[:2] == ["train[0]", "train[1]"] and drawn.train.names[800] == "validation[0]"
    assert drawn.test.labels == [str(i % 4) for i in range(20)]
    with pytest.raises(MissingLabelError, match="no column shape, but image, fine_label"):
        read_hub(str(tmp_path), definition("kitti"), label="shape")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("held", ["validation", "val"])
def test_vtabs_own_splits_are_taken_whatever_else_is_there(tmp_path, hugging_face, held, turned):
    sizes = {"train800": 800, "val200": 200, "train": 1100, held: 300, "test": 4, "odd": 3}
    tables = {split: _table(hugging_face, n) for split, n in sizes.items()}
    tables["odd"] = tables["odd"].remove_columns("label")  # of no use for the task, and in no one's way
    order = list(tables)[::-1] if turned else list(tables)
    hugging_face.DatasetDict({split: tables[split] for split in order}).save_to_disk(str(tmp_path / "saved"))
    drawn = read_hub(str(tmp_path / "saved"), definition("kitti"))
    assert drawn.train.names == [f"{split}[{i}]" for split, n in (("train800", 800), ("val200", 200)) for i in range(n)]
    assert drawn.order == f"the 800 and 200 images of {tmp_path / 'saved'}"


def test_whole_splits_are_drawn_from_where_vtabs_own_are_not_whole(tmp_path, hugging_face):
    sizes = {"train": 1100, "validation": 300, "train800": 800, "val200": 199, "test": 4}
    tables = {split: _table(hugging_face, n) for split, n in sizes.items()}
    hugging_face.DatasetDict(tables).save_to_disk(str(tmp_path / "saved"))
    drawn = read_hub(str(tmp_path / "saved"), definition("kitti"))
    assert {name.partition("[")[0] for name in drawn.train.names[:800]} == {"train"}
    assert {name.partition("[")[0] for name in drawn.train.names[800:]} == {"validation"}
    assert "drawn with seed 0" in drawn.order


def test_a_data_set_with_too_few_images_or_one_split_is_refused(tmp_path, hugging_face):
    tables = {"train": _table(hugging_face, 900), "test": _table(hugging_face, 4)}
    hugging_face.DatasetDict(tables).save_to_disk(str(tmp_path / "few"))
    with pytest.raises(DataFormatError, match="there are fewer"):
        read_hub(str(tmp_path / "few"), definition("kitti"))
    ready = {"train800val200": tables["train"], "test": tables["test"]}
    hugging_face.DatasetDict(ready).save_to_disk(str(tmp_path / "ready"))
    with pytest.raises(DataFormatError, match="train800val200 has 900 images, not 1000"):
        read_hub(str(tmp_path / "ready"), definition("kitti"))
    tables["train"].save_to_disk(str(tmp_path / "one"))
    with pytest.raises(DataFormatError, match="is one split"):
        read_hub(str(tmp_path / "one"), definition("kitti"))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataFormatError, match="cannot be loaded by datasets"):
        read_hub(str(tmp_path / "nothing"), definition("kitti"))


def test_without_datasets_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match="pip install datasets"):
        read_hub("somebody/something", definition("kitti"))


# --- the user's own


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("birds=birds.zip", ("birds", "birds.zip", None, "own")),
        ("natural/birds=birds.zip", ("birds", "birds.zip", None, "natural")),
        ("structured/loc=d.npz:location", ("loc", "d.npz", "location", "structured")),
        ("a/b/loc=d.npz", ("loc", "d.npz", None, "a/b")),
    ],
)
def test_a_local_task_is_written_as_one_word(text, expected):
    local = LocalTask.parse(text)
    assert (local.name, str(local.path), local.label, local.group) == expected


def test_a_colon_of_a_path_that_is_there_is_no_label(tmp_path):
    (tmp_path / "a:b.npz").touch()
    assert LocalTask.parse(f"x={tmp_path}/a:b.npz").path.name == "a:b.npz"


@pytest.mark.parametrize("text", ["birds", "=birds.zip", "birds=", "/birds=x"])
def test_a_local_task_of_another_form_is_refused(text):
    with pytest.raises(ParameterError, match=r"write \[GROUP/\]NAME=PATH"):
        LocalTask.parse(text)


def test_a_local_task_may_not_pass_for_one_of_vtab():
    with pytest.raises(ParameterError, match="caltech101 is one of VTAB's tasks: give your own another name"):
        LocalTask.parse("natural/caltech101=photos.zip")


def test_a_local_task_has_the_last_images_for_validation(tmp_path):
    arrays = {f"{split}_images": pixels(n) for split, n in (("train", 50), ("test", 10))}
    labels = {f"{split}_label_side": np.arange(n) % 2 for split, n in (("train", 50), ("test", 10))}
    np.savez(tmp_path / "d.npz", **arrays, **labels)
    loaded = LocalTask.parse(f"structured/side={tmp_path / 'd.npz'}:side").load(test_limit=4)
    assert (len(loaded.task.train), len(loaded.task.test), loaded.task.validation, loaded.classes) == (50, 4, 10, 2)
    assert loaded.facts["order"] == "as in d.npz" and loaded.facts["test_of"] == 10


def test_a_test_class_without_training_images_is_one_of_errors_as_in_a_comparison(tmp_path):
    write_images(tmp_path / "birds", ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"])
    loaded = LocalTask.parse(f"birds={tmp_path / 'birds'}").load()
    assert loaded.classes == 2 and loaded.task.test.labels == ["a", "c"]


def test_a_local_task_is_the_same_from_inside_its_folder(tmp_path, monkeypatch):
    write_images(tmp_path / "birds", [f"{split}/{kind}/1.png" for split in ("train", "test") for kind in "ab"])
    outside = LocalTask.parse(f"birds={tmp_path / 'birds'}").load().facts
    monkeypatch.chdir(tmp_path / "birds")
    assert LocalTask.parse("birds=.").load().facts == outside


def test_the_shared_data_are_such_tasks(shared):
    for text, classes, test in (
        ("structured/location=dsprites.npz:location", 16, 2000),
        ("natural/caltech=caltech101.zip", 102, 1000),
    ):
        name, _, place = text.partition("=")
        loaded = LocalTask.parse(f"{name}={shared / 'data'}/{place}").load()
        assert (len(loaded.task.train), len(loaded.task.test), loaded.classes) == (1000, test, classes)
        assert loaded.task.validation == 200
