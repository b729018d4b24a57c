"""Diabetic Retinopathy in Kaggle's files, prepared as VTAB's configuration "btgraham-300" prepares them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from head2toe.benchmark.vtab.definitions import TaskDefinition
from head2toe.benchmark.vtab.pool import Drawn, Part, draw
from head2toe.benchmark.vtab.raw_files import table
from head2toe.errors import DataFormatError, UnreadableImageError, one_line

RADIUS = 300  # pixels of the eyeball
_MASKED = 0.9  # the share of the radius that is kept
_GREY = 128

_USAGE = {"validation": "Public", "test": "Private"}  # Kaggle's two leaderboards


def read_retinopathy(folder: Path, definition: TaskDefinition) -> Drawn:
    """Kaggle's ``train/``, ``test/``, ``trainLabels.csv`` and ``retinopathy_solution.csv``.

    Keys are the images' names, as in tensorflow_datasets' diabetic_retinopathy_detection.py.

    Raises
    ------
    DataFormatError
        A table has not Kaggle's columns.
    """
    try:
        pool = {"train": _part(folder / "train", table(folder / "trainLabels.csv"))}
        solution = table(folder / "retinopathy_solution.csv")
        for name, usage in _USAGE.items():
            pool[name] = _part(folder / "test", [row for row in solution if row["Usage"] == usage])
    except DataFormatError:
        raise
    except (KeyError, TypeError, ValueError) as error:  # of a row that is cut off, nothing is a number
        raise DataFormatError(f"{folder}: Kaggle's tables have columns image, level and Usage: {error}") from error
    return draw(definition, pool, str(folder))


def prepare(image: Image.Image, radius: int = RADIUS) -> Image.Image:
    """Prepare one photograph of an eye's background as the winner of Kaggle's competition did.

    It is resized until the eyeball has the radius, the local average is subtracted from four times the image (grey 128
    added), and what lies outside 0.9 of the radius becomes grey and is cut off.

    Parameters
    ----------
    image : RGB
    radius : int
        Pixels.

    Returns
    -------
    RGB
        At most 1.8 radii high and wide.

    Notes
    -----
    After ``_btgraham_processing`` in tensorflow_datasets' diabetic_retinopathy_detection.py, which uses OpenCV and
    writes JPEG of quality 72 in the end; this one does not, so pixels differ by a few grey levels.
    """
    from scipy.ndimage import gaussian_filter

    pixels = _resized(np.asarray(image.convert("RGB")), radius).astype(np.float32)
    local = np.rint(gaussian_filter(pixels, (radius / 30, radius / 30, 0), mode="mirror", truncate=3))
    pixels = np.clip(4 * pixels - 4 * local + _GREY, 0, 255)
    height, width = pixels.shape[:2]
    y, x = np.ogrid[:height, :width]
    kept = int(radius * _MASKED)
    outside = (y - height // 2) ** 2 + (x - width // 2) ** 2 > kept**2
    pixels[outside] = _GREY
    rows = slice(max(height // 2 - kept, 0), min(height // 2 + kept, height))
    columns = slice(max(width // 2 - kept, 0), min(width // 2 + kept, width))
    return Image.fromarray(pixels[rows, columns].astype(np.uint8))


def _resized(pixels: npt.NDArray[np.uint8], radius: int) -> npt.NDArray[np.uint8]:
    """Bilinear without antialiasing, as OpenCV does; half the bright pixels of the middle row are the radius."""
    middle = pixels[len(pixels) // 2].sum(axis=1, dtype=np.int64)
    found = float((middle > middle.mean() / 10).sum()) / 2
    scale = radius / (found if found >= 1 else len(pixels) / 2)
    size = [max(1, round(side * scale)) for side in pixels.shape[:2]]
    batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(batch, size=size, mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).round().byte().numpy()


def _part(folder: Path, rows: list[dict[str, str]]) -> Part:
    names = [row["image"] for row in rows]
    labels = np.asarray([int(row["level"]) for row in rows], np.int64)

    def read(i: int) -> Image.Image:
        path = folder / f"{names[i]}.jpeg"
        try:
            with Image.open(path) as image:
                return prepare(image)
        except (OSError, SyntaxError) as error:
            raise UnreadableImageError(f"{path}: {one_line(error)}") from error

    return Part(names, labels, read)
