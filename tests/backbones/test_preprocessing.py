"""Preprocessing equals the checkpoint's own, and describes itself exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from head2toe.backbones import Preprocessing, TransformPreprocessing
from head2toe.backbones.torchvision_ops import declare_missing_operators
from head2toe.errors import PreprocessingError

declare_missing_operators()
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(80, 50), (50, 80), (64, 64), (20, 17)])
@pytest.mark.parametrize("mean", [MEAN, (0.1, 0.9, 0.5)])  # "border" paints with the mean
def test_crop_equals_timm(
    crop_mode: str, interpolation: str, size: tuple[int, int], mean: tuple[float, float, float]
) -> None:
    from timm.data.transforms_factory import create_transform

    image = picture(*size)
    ours = Preprocessing((32, 32), mean, STD, interpolation, "crop", 0.9, crop_mode)
    theirs = create_transform(
        (3, 32, 32), mean=mean, std=STD, interpolation=interpolation, crop_pct=0.9, crop_mode=crop_mode
    )
    torch.testing.assert_close(ours.batch([ours.image(image)])[0], theirs(image), atol=2e-6, rtol=0)


def test_whole_keeps_every_border() -> None:
    image = Image.new("RGB", (200, 50), "black")
    image.paste("white", (0, 0, 25, 50))
    image.paste("white", (175, 0, 200, 50))
    pixels = Preprocessing((16, 16), (0.0,) * 3, (1.0,) * 3, "bilinear", "whole").image(image)
    assert pixels.shape == (16, 16, 3)
    assert pixels[:, 0].min() > 250 and pixels[:, -1].min() > 250 and pixels[:, 8].max() < 5


def test_scaling_is_the_definition() -> None:
    p = Preprocessing((8, 8), MEAN, STD)
    pixels = np.random.default_rng(1).integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    batch = p.batch(list(pixels))
    expected = (torch.from_numpy(pixels) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(batch, expected.permute(0, 3, 1, 2), atol=1e-6, rtol=1e-6)
    assert batch.is_contiguous()


@pytest.mark.parametrize(("resize", "crop_mode"), [("whole", "center"), ("crop", "center"), ("crop", "border")])
def test_grey_checkpoints_get_one_channel(resize: str, crop_mode: str) -> None:
    p = Preprocessing((8, 8), (0.5,), (0.5,), resize=resize, crop_mode=crop_mode)
    batch = p.batch([p.image(Image.new("RGB", (9, 9), (255, 0, 0)))])
    # The luma of red by ITU-R 601, 0.299, to within the rounding to 8 bits.
    torch.testing.assert_close(batch, torch.full((1, 1, 8, 8), (0.299 - 0.5) / 0.5), atol=0.005, rtol=0)


def test_a_checkpoint_with_other_channels_needs_a_transform() -> None:
    config = {"input_size": (5, 8, 8), "mean": MEAN, "std": STD, "interpolation": "bilinear", "crop_pct": 1.0}
    with pytest.raises(PreprocessingError, match="5 input channels"):
        Preprocessing.from_timm({**config, "crop_mode": "center"}, "whole")


def test_description_survives_json() -> None:
    p = Preprocessing((8, 9), MEAN, STD, "bicubic", "crop", 0.875)
    assert Preprocessing.from_dict(json.loads(json.dumps(p.to_dict()))) == p


@pytest.mark.parametrize("wrong", [{"interpolation": "sinc"}, {"resize": "stretch"}])
def test_unknown_settings_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(PreprocessingError, match="use"):
        Preprocessing((8, 8), MEAN, STD, **wrong)


def test_own_transform_must_return_tensors_of_one_shape() -> None:
    p = TransformPreprocessing(lambda image: torch.zeros(3, image.height, 4))
    with pytest.raises(PreprocessingError, match="several shapes"):
        p.batch([p.image(picture(4, 5)), p.image(picture(4, 6))])
    with pytest.raises(PreprocessingError, match="not a tensor"):
        TransformPreprocessing(lambda image: image).image(picture(4, 5))


def test_a_very_long_picture_is_cut_before_it_is_resized() -> None:
    """Resized as a whole it would have 256 x 10 million pixels."""
    crop = Preprocessing(size=(224, 224), mean=(0.5,) * 3, std=(0.5,) * 3, resize="crop", crop_pct=0.9)
    ends = Image.new("RGB", (40_000, 1))
    ends.paste((255, 255, 255), (19_900, 0, 20_100, 1))
    found = crop.image(ends)
    assert found.shape == (224, 224, 3) and (found == 255).all()  # the middle, as the centre crop has it


@pytest.mark.parametrize("crop_pct", [1.0, 0.9])
@pytest.mark.parametrize("size", [(64, 1), (65, 1), (70, 1), (1, 70), (200, 1), (30_000, 2), (1, 30_000)])
def test_the_thinnest_picture_is_a_line_within_its_border(size: tuple[int, int], crop_pct: float) -> None:
    border = Preprocessing((32, 24), (0.5,) * 3, (0.5,) * 3, "bilinear", "crop", crop_pct, "border")
    found = border.image(Image.new("RGB", size, "white"))
    line = found.transpose(1, 0, 2) if size[1] > size[0] else found
    assert found.shape == (32, 24, 3)
    white = (line == 255).all(axis=(1, 2))
    assert white.sum() == 1 and abs(int(white.argmax()) - len(line) // 2) <= 1  # from end to end, in the middle
    assert (line[~white] == 128).all()  # the mean


def test_the_line_of_a_thin_picture_is_as_it_was_along_its_length() -> None:
    halves = Image.new("RGB", (320, 1), "white")
    halves.paste("black", (0, 0, 160, 1))
    pixels = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3, "bilinear", "crop", crop_mode="border").image(halves)
    (row,) = [row for row in pixels if (row != 128).any()]
    assert (row[:14] == 0).all() and (row[18:] == 255).all()
