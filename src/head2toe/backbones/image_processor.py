"""A Hugging Face image processor as a `Preprocessing`: read from its settings, then checked on a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from head2toe.backbones.hf_repository import PROCESSORS
from head2toe.backbones.preprocessing import FILTERS, Preprocessing, crop_share
from head2toe.errors import PreprocessingError, one_line

_CURE = "pass a transform with preprocessing="
# Mean difference allowed between the processor's output and ours, in grey levels of 255: resampling rounds differently.
_TOLERANCE = 2.0


def preprocessing_of(folder: Path, resize: str, name: str) -> Preprocessing:
    """Size, mean, std, filter and crop of the image processor in a folder.

    Parameters
    ----------
    folder : Path
        With a preprocessor_config.json.
    resize : "whole" or "crop"
        "crop" does what the processor does; "whole" keeps its size, filter and scaling, and resizes the whole image.
    name : str
        For messages.

    Raises
    ------
    PreprocessingError
        There is no image processor, or it does what a `Preprocessing` cannot express.
    """
    processor = _processor(folder, name)
    size, crop_pct, mode = _geometry(processor, name)
    mean, std = _scaling(processor, name)
    number = int(getattr(processor, "resample", None) or 0)
    interpolation = next((text for text, known in FILTERS.items() if known == number), "bilinear")
    made = Preprocessing(size, mean, std, interpolation, "crop", crop_pct, mode)
    _check(made, processor, name)
    return replace(made, resize=resize)


def _processor(folder: Path, name: str) -> Any:
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # the last of JSON that is no object
        there = [file for file in PROCESSORS if (folder / file).is_file()]
        if not there:
            raise PreprocessingError(f"{name} has no image processor ({PROCESSORS[0]}): {_CURE}") from error
        raise PreprocessingError(
            f"{name} has {there[0]}, from which no image processor can be read ({one_line(error)}): mend it, or {_CURE}"
        ) from error


def _geometry(processor: Any, name: str) -> tuple[tuple[int, int], float, str]:
    """Input size (H, W), share of it that the crop keeps, and timm's name for the crop."""
    size = _dict(processor, "size")
    if not getattr(processor, "do_resize", False):
        raise PreprocessingError(
            f"the image processor of {name} does not resize, so images have no common size: {_CURE}"
        )
    crop = _dict(processor, "crop_size") if getattr(processor, "do_center_crop", False) else None
    edge = size.get("shortest_edge")
    if edge and getattr(processor, "crop_pct", None) and crop is None:  # ConvNeXt's own rule
        if edge >= 384:
            return (edge, edge), 1.0, "squash"
        return (edge, edge), crop_share(edge, int(edge / processor.crop_pct)), "center"
    if edge and crop is not None and crop.get("height") == crop.get("width"):
        return (crop["height"], crop["height"]), crop_share(crop["height"], edge), "center"
    if size.get("height") and size.get("width"):
        full = (size["height"], size["width"])
        kept = full if crop is None else (crop["height"], crop["width"])
        if kept == full or (kept[0] == kept[1] and full[0] == full[1]):
            return kept, crop_share(kept[0], full[0]), "squash"
    raise PreprocessingError(
        f"the image processor of {name} resizes to {size} and crops to {crop}, which is not expressed: {_CURE}"
    )


def _scaling(processor: Any, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std on [0, 1]."""
    factor = getattr(processor, "rescale_factor", 1 / 255) if getattr(processor, "do_rescale", True) else 1.0
    if not getattr(processor, "do_normalize", False):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    else:
        mean, std = (tuple(float(v) for v in _three(getattr(processor, key))) for key in ("image_mean", "image_std"))
    if not factor or len(mean) != len(std) or not all(std):
        raise PreprocessingError(f"the image processor of {name} scales in a way that is not expressed: {_CURE}")
    # (pixel * factor - mean) / std, with pixel / 255 in place of pixel * factor.
    return tuple(m / (255 * factor) for m in mean), tuple(s / (255 * factor) for s in std)


def _check(made: Preprocessing, processor: Any, name: str) -> None:
    """Compare with the processor itself on a picture: whatever else it does (channels swapped, padding) shows there."""
    image = _test_picture()
    theirs = torch.as_tensor(np.asarray(processor(images=image, return_tensors="pt")["pixel_values"])).float()
    ours = made.batch([made.image(image)])
    if theirs.shape != ours.shape:
        raise PreprocessingError(
            f"the image processor of {name} makes {tuple(theirs.shape[1:])}, not {tuple(ours.shape[1:])} "
            f"as its settings say: {_CURE}"
        )
    levels = 255 * torch.tensor(made.std).view(1, -1, 1, 1)
    if float(((theirs - ours).abs() * levels).mean()) > _TOLERANCE:
        raise PreprocessingError(f"the image processor of {name} does more than resize, crop and scale: {_CURE}")


def _test_picture() -> Image.Image:
    """Smooth, neither square nor symmetric, and different in every channel."""
    rows, columns = np.mgrid[0:1:300j, 0:1:420j]
    waves = [np.sin(9 * rows + 3 * columns), np.cos(7 * columns * rows), rows - columns**2]
    pixels = np.stack([(wave - wave.min()) / np.ptp(wave) * 255 for wave in waves], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def _dict(processor: Any, key: str) -> dict[str, int]:
    value = getattr(processor, key, None) or {}
    if isinstance(value, int):
        return {"height": value, "width": value}
    names = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
    get = value.get if hasattr(value, "get") else lambda part: getattr(value, part, None)
    return {part: int(found) for part in names if (found := get(part))}


def _three(value: Any) -> Any:
    return (value,) * 3 if isinstance(value, int | float) else value
