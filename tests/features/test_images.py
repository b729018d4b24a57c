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
from PIL import Image, PngImagePlugin
from torch.utils.data import Dataset

from head2toe.errors import DataFormatError, UnreadableImageError
from head2toe.features import Images, as_images, read_data
from head2toe.features.texts import as_texts


def gradient(height=12, width=16):
    """Smooth, so that JPEG keeps it; different in every corner."""
    red = np.linspace(0, 250, width)[None, :].repeat(height, 0)
    green = np.linspace(0, 250, height)[:, None].repeat(width, 1)
    return np.stack([red, green, np.full((height, width), 40.0)], -1).astype(np.uint8)


def saved(folder, image, name="picture.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


def pixels(path):
    image = as_images([path])[0]
    assert image.mode == "RGB"
    return np.asarray(image)


def test_rgb_is_unchanged(tmp_path):
    assert np.array_equal(pixels(saved(tmp_path, Image.fromarray(gradient()))), gradient())


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp"])
def test_grey_repeats_in_all_channels(tmp_path, suffix):
    grey = gradient()[..., 0]
    found = pixels(saved(tmp_path, Image.fromarray(grey), f"grey.{suffix}"))
    assert np.abs(found.astype(int) - grey[..., None]).max() <= 3


def test_one_bit(tmp_path):
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    found = pixels(saved(tmp_path, Image.fromarray(mask)))
    assert (found[0] == 255).all() and (found[1:] == 0).all()


def test_palette(tmp_path):
    image = Image.fromarray(gradient()).quantize(256)
    found = pixels(saved(tmp_path, image))
    assert np.abs(found.astype(int) - gradient()).mean() < 6
    assert np.array_equal(found, np.asarray(image.convert("RGB")))


def test_transparency_shows_white(tmp_path):
    colours = np.dstack([gradient(), np.full((12, 16), 255, np.uint8)])
    colours[0, :, 3] = 0
    colours[1, :, 3] = 128
    found = pixels(saved(tmp_path, Image.fromarray(colours))).astype(int)
    assert (found[0] == 255).all()
    assert np.abs(found[1] - (gradient()[1] * (128 / 255) + 127)).max() <= 1
    assert np.array_equal(found[2:], gradient()[2:])


def test_transparent_palette_entry_shows_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    found = pixels(saved(tmp_path, image, transparency=0))
    assert found[0].tolist() == [[255, 255, 255], [200, 100, 50]]


def test_cmyk(tmp_path):
    path = saved(tmp_path, Image.fromarray(gradient()).convert("CMYK"), "print.jpg", quality=95, subsampling=0)
    assert np.abs(pixels(path).astype(int) - gradient()).mean() < 8


# How a camera held in some way stores an upright picture, by EXIF orientation.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](gradient()))
    assert np.array_equal(pixels(saved(tmp_path, Image.fromarray(stored), exif=exif)), gradient())


def test_16_bits_are_scaled_not_clipped(tmp_path):
    deep = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    assert pixels(saved(tmp_path, Image.fromarray(deep)))[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert pixels(saved(tmp_path, Image.fromarray(deep), "deep.tif"))[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 257 * 100, 65535]], np.int32), [0, 100, 255]),
        (np.array([[-1000, 0, 1000]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.2, 1]], np.float32), [0, 51, 255]),
        (np.array([[-3, 7, 7]], np.float32), [0, 255, 255]),
        (np.array([[5, 5, 5]], np.float32), [0, 0, 0]),
    ],
)
def test_32_bits(tmp_path, values, expected):
    assert pixels(saved(tmp_path, Image.fromarray(values), "deep.tif"))[0, :, 0].tolist() == expected


def test_nan_pixels_are_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.array([[0, np.nan]], np.float32)), "nan.tif")
    with pytest.raises(UnreadableImageError, match=r"nan\.tif: pixels are NaN"):
        as_images([path])[0]


def test_animation_gives_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (5, 4), (255, 0, 0)), Image.new("RGB", (5, 4), (0, 0, 255))
    path = saved(tmp_path, first, "moving.gif", save_all=True, append_images=[second])
    assert (pixels(path) == [255, 0, 0]).all()


def test_one_pixel(tmp_path):
    assert pixels(saved(tmp_path, Image.new("L", (1, 1), 7))).tolist() == [[[7, 7, 7]]]


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def _flipped(path):
    data = bytearray(path.read_bytes())
    data[20] ^= 255  # in the header, which has a checksum
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_bytes(b"hello, this is no picture"), "not an image"),
        (_truncated, "truncated|broken"),
        (_flipped, "broken|CRC|not an image"),
        (lambda path: path.unlink(), "no such file"),
    ],
)
def test_unreadable_files_name_themselves_and_the_cause(tmp_path, damage, cause):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), "holiday.png")
    damage(path)
    images = as_images([path])
    assert images.identity(0)
    with pytest.raises(UnreadableImageError, match=rf"holiday\.png: .*({cause})") as caught:
        images[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.8, 0.4])  # of what Pillow warns of, and of what it refuses
def test_decompression_bomb(tmp_path, monkeypatch, share):
    path = saved(tmp_path, Image.new("L", (100, 100)), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(share * 100 * 100))
    with pytest.raises(UnreadableImageError, match=r"bomb\.png: more pixels than"):
        as_images([path])[0]


def test_bomb_of_text(tmp_path):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", "a" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    path = saved(tmp_path, Image.new("L", (4, 4)), "notes.png", pnginfo=notes)
    with pytest.raises(UnreadableImageError, match=r"notes\.png"):
        as_images([path])[0]


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


def test_16_bits_with_a_transparent_value_are_scaled_all_the_same(tmp_path):
    values = np.linspace(0, 65535, 12 * 16).reshape(12, 16).astype(np.uint16)
    expected = np.asarray(pixels(saved(tmp_path, Image.fromarray(values))))
    assert np.array_equal(pixels(saved(tmp_path, Image.fromarray(values), transparency=7)), expected)


def test_exif_that_cannot_be_written_again_is_ignored(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 3
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(np.rot90(gradient(), 2))), exif=exif)
    monkeypatch.setattr(Image.Exif, "tobytes", lambda *_: pytest.fail("damaged entries cannot be packed"))
    assert np.array_equal(pixels(path), gradient())


def test_damaged_exif_is_ignored(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(gradient()).save(buffer, "JPEG", exif=b"Exif\0\0not a TIFF header at all")
    path = tmp_path / "odd.jpg"
    path.write_bytes(buffer.getvalue())
    assert pixels(path).shape == (12, 16, 3)


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
