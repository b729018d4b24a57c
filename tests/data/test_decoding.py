"""Files of every kind become the RGB picture that they show, or an error that names file and cause."""

from __future__ import annotations

import io

import numpy as np
import pytest
from drawn import gradient, pixels, saved
from PIL import Image, ImageFile, PngImagePlugin

from head2toe.data import as_images
from head2toe.errors import UnreadableImageError


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


def test_a_truncated_picture_may_be_read_once_pillow_is_told_to(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.fromarray(np.tile(gradient(), (8, 8, 1))), "cut.jpg")
    path.write_bytes(path.read_bytes()[:-20])
    with Image.open(path) as opened:
        with pytest.raises(UnreadableImageError, match="truncated"):
            as_images([opened])[0]
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        assert as_images([opened])[0].size == opened.size


def test_a_turned_tiff_is_turned_once(tmp_path):
    """Pillow itself turns one while it reads the pixels."""
    exif = Image.Exif()
    exif[274] = 6  # orientation
    turned = gradient()
    Image.fromarray(turned).save(tmp_path / "a.tif", exif=exif)
    found = np.asarray(as_images([tmp_path / "a.tif"])[0])
    np.testing.assert_array_equal(found, np.rot90(turned, -1))


def test_damaged_pixels_are_no_black_picture(tmp_path):
    """Pillow complains of them once, and hands out black where it is asked again."""
    path = saved(tmp_path, Image.fromarray(gradient()), "holiday.png")
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 10] ^= 255
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match=r"holiday\.png: broken data"):
        as_images([path])[0]
    opened = as_images([Image.open(path)])
    assert opened.identity(0).startswith("unreadable")
    for _ in range(2):
        with pytest.raises(UnreadableImageError, match="image 0: broken data"):
            opened[0]
