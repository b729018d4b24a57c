"""Every kind of picture becomes RGB; what cannot be read says so; identities follow the content."""

from __future__ import annotations

import io
import os
import pickle
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from drawn import gradient, saved
from PIL import Image
from torch.utils.data import Dataset

from head2toe.data import Images, as_images, read_data
from head2toe.data.texts import as_texts
from head2toe.errors import DataFormatError, UnreadableImageError


class Pairs(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


FORMS = {
    "paths": lambda a, folder: [saved(folder, Image.fromarray(x), f"{i}.png") for i, x in enumerate(a)],
    "strings": lambda a, folder: [str(saved(folder, Image.fromarray(x), f"{i}.png")) for i, x in enumerate(a)],
    "string array": lambda a, folder: np.array(FORMS["strings"](a, folder)),
    "pictures": lambda a, folder: [Image.fromarray(x) for x in a],
    "array": lambda a, folder: a,
    "list of arrays": lambda a, folder: list(a),
    "tensor": lambda a, folder: torch.from_numpy(a).permute(0, 3, 1, 2),
    "float tensor": lambda a, folder: torch.from_numpy(a).permute(0, 3, 1, 2).float() / 255,
    "dataset": lambda a, folder: Pairs([Image.fromarray(x) for x in a]),
    "dataset of pairs": lambda a, folder: Pairs([(Image.fromarray(x), 3) for x in a]),
    "dataset of tensors": lambda a, folder: Pairs([(torch.from_numpy(x).permute(2, 0, 1) / 255, 3) for x in a]),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_hold_the_same_pixels(tmp_path, form):
    array = np.random.default_rng(0).integers(0, 256, (3, 9, 7, 3), dtype=np.uint8)
    images = as_images(FORMS[form](array, tmp_path))
    assert isinstance(images, Images)
    assert as_images(images) is images
    assert len(images) == 3
    for i in range(3):
        assert images[i].mode == "RGB" and np.array_equal(np.asarray(images[i]), array[i])
    assert len({images.identity(i) for i in range(3)}) == 3
    again = as_images(FORMS[form](array, tmp_path)) if "path" not in form and "string" not in form else images
    assert [again.identity(i) for i in range(3)] == [images.identity(i) for i in range(3)]


def test_a_tensor_of_half_precision_is_rounded_once(tmp_path):
    exact = torch.tensor([0, 0.25, 0.5, 1]).reshape(1, 1, 2, 2).expand(2, 3, 2, 2)
    expected = np.asarray(as_images(exact)[0])
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        for form in (exact.to(dtype), list(exact.to(dtype))):
            images = as_images(form)
            assert np.array_equal(np.asarray(images[1]), expected)
            assert images.identity(0) == images.identity(1)


@pytest.mark.parametrize("make", [torch.Tensor.to_sparse, lambda tensor: tensor.to("meta")])
def test_tensors_without_plain_values_are_refused(make):
    with pytest.raises(DataFormatError, match="dense"):
        as_images(make(torch.rand(2, 3, 4, 4)))
    with pytest.raises(DataFormatError, match="image 0"):
        _ = as_images([make(torch.rand(3, 4, 4))])[0]


def test_a_column_of_a_table():
    pandas = pytest.importorskip("pandas")
    assert as_images(pandas.Series(["a.png", "b.png"])).names == ["a.png", "b.png"]


def test_a_column_of_hugging_face_datasets():
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict(
        {"image": [Image.fromarray(gradient())] * 2, "text": ["one", "two"]},
        features=datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")}),
    )
    images = as_images(table["image"])
    assert len(images) == 2 and np.array_equal(np.asarray(images[1]), gradient())
    assert list(as_texts(table["text"])) == ["one", "two"]


def test_a_table_of_hugging_face_datasets_is_told_its_columns():
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict(
        {"id": [5, 6], "img": [Image.fromarray(gradient())] * 2, "fine": [0, 1]},
        features=datasets.Features(
            {"id": datasets.Value("int64"), "img": datasets.Image(), "fine": datasets.ClassLabel(2)}
        ),
    )
    plain = datasets.Dataset.from_dict({"image": ["a.png"], "label": [1]})
    for wrong, expected in (
        (table, 'pass the one of images, ds["img"], and the labels as ds["fine"]'),
        (plain, 'pass the one of images, ds["image"], and the labels as ds["label"]'),
        (datasets.DatasetDict({"train": table}), 'ds["train"]["img"], and the labels as ds["train"]["fine"]'),
        (datasets.DatasetDict(), 'ds["image"]'),
    ):
        with pytest.raises(DataFormatError) as caught:
            as_images(wrong)
        assert expected in str(caught.value)


def test_grey_arrays():
    grey = np.arange(30, dtype=np.uint8).reshape(2, 3, 5)
    for array in (grey, grey[..., None], torch.from_numpy(grey)[:, None]):
        assert np.array_equal(np.asarray(as_images(array)[1]), np.repeat(grey[1, ..., None], 3, -1))


def test_no_images_are_images():
    assert len(as_images([])) == 0
    assert len(as_images(np.zeros((0, 4, 4, 3), np.uint8))) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        7,
        "photographs",
        [1, 2],
        [None],
        np.zeros((3, 10)),
        np.zeros((3, 4, 4, 3), np.float32),
        np.zeros((3, 4, 4, 2), np.uint8),
        np.zeros((3, 0, 4), np.uint8),
        np.zeros(5, np.uint8),
        torch.zeros(3, 4, 4),
        torch.zeros(2, 3, 4, 4, dtype=torch.int64),
        torch.full((2, 3, 4, 4), 1.5),
        torch.full((2, 3, 4, 4), torch.nan),
    ],
    ids=lambda wrong: f"{type(wrong).__name__}{getattr(wrong, 'shape', '')}",
)
def test_anything_else_is_refused(wrong):
    with pytest.raises(DataFormatError, match="pass ") as caught:
        as_images(wrong)
    assert "\n" not in str(caught.value)


def test_an_item_that_is_no_image():
    for item in (torch.full((3, 4, 4), -2.0), "text and no file", object(), np.zeros((4, 4), np.uint16)):
        with pytest.raises((DataFormatError, UnreadableImageError), match=r"image 0|text and no file"):
            as_images(Pairs([(item, 1)]))[0]


def test_a_dataset_with_a_damaged_file(tmp_path):
    class Files(Pairs):
        def __getitem__(self, i):
            with Image.open(self.items[i]) as image:
                return image.convert("RGB"), 0

    path = saved(tmp_path, Image.fromarray(gradient(50, 50)))
    path.write_bytes(path.read_bytes()[:100])
    images = as_images(Files([path]))
    assert images.identity(0).startswith("unreadable")
    with pytest.raises(UnreadableImageError, match="image 0"):
        images[0]


def test_a_file_that_changes_is_another_image(tmp_path):
    path = saved(tmp_path, Image.new("L", (4, 4), 1))
    images = as_images([path])
    before = images.identity(0)
    assert images.identity(0) == before
    os.utime(path, ns=(1, 1))
    assert images.identity(0) != before


def test_a_file_that_is_put_in_place_of_another_is_another_image(tmp_path):
    first, second = tmp_path / "a.bmp", tmp_path / "b.bmp"
    for path, grey in ((first, 1), (second, 2)):
        Image.new("L", (4, 4), grey).save(path)
        os.utime(path, ns=(1, 1))
    before = as_images([first]).identity(0)
    second.replace(first)  # as large, with the same time of change
    assert as_images([first]).identity(0) != before


def test_a_pixel_that_changes_makes_another_image():
    array = np.zeros((2, 4, 4, 3), np.uint8)
    images = as_images(array)
    assert images.identity(0) == images.identity(1)
    array[1, 2, 2, 0] = 1
    assert images.identity(0) != images.identity(1)


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    images = as_images([tmp_path / "not there.png"])
    assert len(images) == 1


def test_many_threads_at_once(tmp_path):
    arrays = np.random.default_rng(0).integers(0, 256, (20, 9, 7, 3), dtype=np.uint8)
    images = as_images([saved(tmp_path, Image.fromarray(x), f"{i}.png") for i, x in enumerate(arrays)])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: np.asarray(images[i % 20]), range(200)))
    assert all(np.array_equal(image, arrays[i % 20]) for i, image in enumerate(found))


def test_text_given_as_images_is_called_by_its_name():
    images = as_images(["a film without a plot", "missing.png", "word " * 200])
    for i, expected in ((0, "takes paths, not text"), (1, r"missing.png: no such file or directory$"), (2, "not text")):
        with pytest.raises(UnreadableImageError, match=expected):
            images[i]


def test_one_array_of_colours_is_no_stack_of_grey_images():
    with pytest.raises(DataFormatError, match=r"is one image: pass image\[None\]"):
        as_images(np.zeros((32, 32, 3), np.uint8))


class Striped(Dataset):
    """Items that share one open file, as many datasets do: two threads would move its place under each other."""

    def __init__(self, pixels):
        self.file = io.BytesIO(pixels)

    def __len__(self):
        return 12

    def __getitem__(self, i):
        self.file.seek(48 * i)
        time.sleep(0.001)
        return np.frombuffer(self.file.read(48), np.uint8).reshape(4, 4, 3)


def test_one_thread_at_a_time_asks_a_dataset():
    images = as_images(Striped(np.repeat(np.arange(12, dtype=np.uint8), 48).tobytes()))
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda i: np.asarray(images[i]), range(12)))
    assert [int(image.min()) for image in read] == [int(image.max()) for image in read] == list(range(12))


def test_images_of_a_zip_can_be_pickled(tmp_path):
    Image.new("RGB", (4, 4), (7, 8, 9)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(tmp_path / "a.png", "cat/a.png")
    again = pickle.loads(pickle.dumps(read_data(tmp_path / "a.zip")))
    assert np.asarray(again[0]).tolist() == np.full((4, 4, 3), (7, 8, 9)).tolist()


def test_a_file_is_the_same_image_by_another_way(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient()), "a.png")
    (tmp_path / "tables").mkdir()
    images = as_images([path, tmp_path / "tables" / ".." / "a.png"])
    assert images.identity(0) == images.identity(1)
