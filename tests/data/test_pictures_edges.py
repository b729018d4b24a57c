"""Pictures, arrays and datasets at the edges of what is taken."""

from __future__ import annotations

import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from drawn import pixels, saved
from PIL import Image
from torch.utils.data import Dataset

from head2toe.data import as_images
from head2toe.data.dataset_table import advice
from head2toe.data.lock import Lock
from head2toe.errors import DataFormatError, UnreadableImageError


def test_the_largest_of_16_bits_is_still_of_16_bits(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([[1000, 65535]], np.int32)), "a.tif")
    assert pixels(path)[0, :, 0].tolist() == [4, 255]


def test_floats_up_to_one_are_not_stretched(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([[0.2, 1.0]], np.float32)), "a.tif")
    assert pixels(path)[0, :, 0].tolist() == [51, 255]


def test_an_array_with_transparency_is_laid_over_white():
    array = np.zeros((2, 3, 4), np.uint8)
    array[0, :, 3] = 255
    assert np.asarray(as_images([array])[0])[:, 0, 0].tolist() == [0, 255]


@pytest.mark.parametrize("nothing", [np.zeros((0, 4, 3), np.uint8), Image.new("RGB", (0, 3))])
def test_an_image_without_pixels_is_refused(nothing):
    with pytest.raises(DataFormatError, match=r"^image 0 has"):
        as_images([nothing])[0]


def test_a_stack_of_images_without_pixels_is_refused():
    with pytest.raises(DataFormatError, match=r"shape \(2, 0, 4, 3\)"):
        as_images(np.zeros((2, 0, 4, 3), np.uint8))


def test_signed_bytes_are_no_pixels():
    with pytest.raises(DataFormatError, match="dtype int8"):
        as_images([np.zeros((4, 4), np.int8)])[0]


def test_one_array_with_transparency_is_one_image():
    with pytest.raises(DataFormatError, match="which is one image"):
        as_images(np.zeros((5, 6, 4), np.uint8))


def test_no_float_tensors_are_no_images():
    assert len(as_images(torch.zeros(0, 3, 4, 4))) == 0


@pytest.mark.parametrize(("share", "times"), [(0.8, ""), (0.4, "twice ")])
def test_a_bomb_is_told_with_the_limit_that_it_passed(tmp_path, monkeypatch, share, times):
    path = saved(tmp_path, Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(share * 100 * 100))
    with pytest.raises(UnreadableImageError, match=f"more pixels than {times}the {int(share * 10000):,} of"):
        as_images([path])[0]


def test_recordings_are_no_images_however_their_ending_is_written():
    with pytest.raises(DataFormatError, match="a recording"):
        as_images(["holiday.WAV"])


def test_a_table_of_several_columns_is_no_column():
    table = pytest.importorskip("pandas").DataFrame({"path": ["a.png"], "label": ["cat"]})
    with pytest.raises(DataFormatError, match="a table of several columns"):
        as_images(table)


def test_a_missing_file_in_a_folder_with_spaces_is_no_sentence(tmp_path):
    with pytest.raises(UnreadableImageError) as caught:
        as_images([tmp_path / "a cat.png"])[0]
    assert "not text" not in str(caught.value)


def test_a_transparent_colour_makes_another_image():
    one, other = Image.new("RGB", (2, 2)), Image.new("RGB", (2, 2))
    other.info["transparency"] = (0, 0, 0)
    images = as_images([one, other])
    assert np.asarray(images[0]).max() == 0 and np.asarray(images[1]).min() == 255
    assert images.identity(0) != images.identity(1)


def test_a_turn_makes_another_image():
    one, other = (Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)) for _ in range(2))
    other.getexif()[0x0112] = 3
    images = as_images([one, other])
    assert np.array_equal(np.asarray(images[0]), np.asarray(images[1])[::-1, ::-1])
    assert images.identity(0) != images.identity(1)


def test_an_array_is_another_image_than_the_tensor_of_its_numbers():
    array = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    images = as_images([array, torch.from_numpy(array)])
    assert not np.array_equal(np.asarray(images[0]), np.asarray(images[1]))
    assert images.identity(0) != images.identity(1)


class Pairs(Dataset[Any]):
    """Items are lists of an image and a label, as some datasets give them."""

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return [np.full((2, 2), i, np.uint8), "cat"]


def test_items_of_a_dataset_may_be_lists():
    assert [int(np.asarray(as_images(Pairs())[i]).max()) for i in (0, 1)] == [0, 1]


class Lazy(Image.Image):
    """A picture that is read when it is first asked for, as Pillow reads files."""

    reading: list[int]
    most = 0
    known = False

    def load(self):
        if not self.known:
            self.known = True
            self.reading.append(0)
            Lazy.most = max(Lazy.most, len(self.reading))
            time.sleep(0.002)
            self.reading.pop()
        return super().load()


class Unread(Dataset[Any]):
    """Pictures that are still to be read from what all items share."""

    reading: list[int]

    def __init__(self):
        self.reading = []

    def __len__(self):
        return 8

    def __getitem__(self, i):
        image = Image.new("RGB", (2, 2), (i, i, i))
        image.__class__ = Lazy
        image.reading = self.reading
        return image


def test_pictures_of_a_dataset_are_read_one_at_a_time():
    images = as_images(Unread())
    Lazy.most = 0
    with ThreadPoolExecutor(4) as pool:
        assert [one.getpixel((0, 0))[0] for one in pool.map(images.__getitem__, range(8))] == list(range(8))
    assert Lazy.most == 1


def test_a_copy_of_a_lock_is_another_lock():
    lock = Lock()
    done = []

    def both():
        with lock, copy.deepcopy(lock):
            done.append(1)

    thread = threading.Thread(target=both, daemon=True)
    thread.start()
    thread.join(1)
    assert done


def test_the_first_column_of_a_kind_is_named():
    """Of a picture and its mask, the picture comes first."""
    kinds = {name: type(name, (), {}) for name in ("Image", "ClassLabel")}
    table = type("Dataset", (), {"__module__": "datasets.arrow_dataset"})()
    table.features = {"photo": kinds["Image"](), "mask": kinds["Image"](), "kind": kinds["ClassLabel"]()}
    told = advice(table)
    assert told is not None and 'ds["photo"]' in told and 'ds["kind"]' in told
