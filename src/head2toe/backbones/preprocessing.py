"""From a picture to the network's input: resize and crop in the reader's threads, scaling on the whole batch."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from PIL import Image

from head2toe.errors import PreprocessingError

RESIZES = ("whole", "crop")
_LONG = 64  # times the crop, from where the ends of a picture are cut off before it is resized

FILTERS = {
    name: Image.Resampling[name.upper()] for name in ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
}
"""Pillow's filters by the names that timm has for them too."""


def crop_share(kept: int, edge: int) -> float:
    """The share of the edge that a crop keeps, from which ``floor(kept / share)`` gives the edge again."""
    share = kept / edge
    return share if math.floor(kept / share) == edge else math.nextafter(share, 0)


class AnyPreprocessing(Protocol):
    """What a backbone needs of its preprocessing.

    What it takes is "images", "texts" or "recordings". Of texts and recordings there is also `noise(count, kind)`,
    which makes a batch of noise in two lengths ("first", "second") or the "longest", and `prefix`, the number of class
    tokens in front; `batch` is given those of one length.
    """

    takes: ClassVar[str]

    def image(self, image: Any, /) -> Any:
        """One RGB picture (text, recording) to an array or tensor; called from several threads."""
        ...

    def batch(self, images: Sequence[Any], /) -> torch.Tensor:
        """What `image` returned, B times, to the network's input: (B, channels, H, W), or (B, T) of sequences.

        Contiguous: `x.view(len(x), -1)`, which networks of one's own often have, takes no other maps.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """A JSON description that identifies the preprocessing."""
        ...


@dataclass(frozen=True)
class Preprocessing:
    """A checkpoint's own preprocessing.

    Attributes
    ----------
    size : (int, int)
        Height and width of the input in pixels.
    mean, std : tuple of float
        Per channel, of pixels scaled to [0, 1]; as many as the input has channels (3, or 1 for grey).
    interpolation : str
        Name of Pillow's filter.
    resize : "whole" or "crop"
        "whole": the whole picture is resized to `size`, whatever its aspect ratio (the paper's choice: no border is
        lost). "crop": the checkpoint's evaluation transform: shorter side to ``size / crop_pct``, centre crop.
    crop_pct : float
    crop_mode : "center", "squash" or "border"
        As timm names them; used by "crop" alone.
    """

    takes: ClassVar[str] = "images"

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    resize: str = "whole"
    crop_pct: float = 1.0
    crop_mode: str = "center"
    _crop: Callable[[Image.Image], Any] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.interpolation not in FILTERS:
            raise PreprocessingError(f"unknown interpolation {self.interpolation!r}: use one of {', '.join(FILTERS)}")
        if self.resize not in RESIZES:
            raise PreprocessingError(f"unknown resize {self.resize!r}: use 'whole' or 'crop'")
        if self.resize == "crop":
            object.__setattr__(self, "_crop", self._checkpoint_transform())

    @staticmethod
    def _in_range(mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
        return all(map(math.isfinite, (*mean, *std))) and min(std) > 0

    def _check_numbers(self) -> None:
        """Refuse other than two sides and one or three channels; numbers of NumPy's become Python's."""
        try:
            size = tuple(operator.index(side) for side in self.size)
            mean, std = (tuple(map(float, given)) for given in (self.mean, self.std))
        except TypeError as error:
            raise PreprocessingError("size is (height, width); mean and std are a number a channel") from error
        if len(size) != 2 or min(size) < 1:
            raise PreprocessingError(f"size is {self.size}: use (height, width), in pixels")
        if len(mean) not in (1, 3) or len(std) != len(mean) or not self._in_range(mean, std):
            raise PreprocessingError(
                f"mean {mean} and std {std}: use three numbers each, or one for grey images, std above 0; for other "
                "channels give a callable"
            )
        for name, value in (("size", size), ("mean", mean), ("std", std)):
            object.__setattr__(self, name, value)

    def _checkpoint_transform(self) -> Callable[[Image.Image], Any]:
        from timm.data.transforms_factory import transforms_imagenet_eval

        return transforms_imagenet_eval(
            img_size=self.size,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
            interpolation=self.interpolation,
            mean=self.mean if len(self.mean) == 3 else self.mean * 3,  # the colour of an added border
            use_prefetcher=True,  # ends in a uint8 array: scaling is done on the batch
        )  # type: ignore[return-value]

    def image(self, image: Image.Image) -> np.ndarray:
        """Resize (and crop) one RGB picture: uint8 (H, W, channels)."""
        if self._crop is not None:
            return self._grey(np.ascontiguousarray(np.asarray(self._crop(self._ready(image))).transpose(1, 2, 0)))
        height, width = self.size
        if image.size != (width, height):
            image = image.resize((width, height), FILTERS[self.interpolation])
        return self._grey(np.asarray(image))

    def _ready(self, image: Image.Image) -> Image.Image:
        """What timm's crop is given: the picture, or what it can take of a very long one."""
        if self.crop_mode == "center":
            return self._middle(image)
        return self._thick(image) if self.crop_mode == "border" else image

    def _middle(self, image: Image.Image) -> Image.Image:
        """What is around the crop of a picture that is very long: resized as a whole, it could fill all memory."""
        height, width = self.size
        most = round(_LONG * min(image.size) * max(height, width) / (min(height, width) * min(self.crop_pct, 1)))
        if max(image.size) <= most:
            return image
        cut = [(max(0, (side - most) // 2)) for side in image.size]
        return image.crop((cut[0], cut[1], image.width - cut[0], image.height - cut[1]))

    def _thick(self, image: Image.Image) -> Image.Image:
        """Of a picture whose shorter side timm's "border" would round to 0 pixels: in timm's size, with 1 instead."""
        width, height = image.size
        rows, columns = (math.floor(side / self.crop_pct) for side in self.size)
        ratio = max(height / rows, width / columns)
        resized = round(width / ratio), round(height / ratio)
        if min(resized) > 0:
            return image
        return image.resize((max(1, resized[0]), max(1, resized[1])), FILTERS[self.interpolation])

    def _grey(self, pixels: np.ndarray) -> np.ndarray:
        if len(self.mean) == pixels.shape[-1]:
            return pixels
        return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]

    def batch(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Scale B pictures: float32 (B, channels, H, W), contiguous."""
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
        scale = torch.tensor([1 / (255 * s) for s in self.std]).view(1, -1, 1, 1)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)]).view(1, -1, 1, 1)
        return torch.addcmul(shift, pixels.float(), scale)

    def with_size(self, size: int | tuple[int, int]) -> Preprocessing:
        """The same preprocessing at another input size."""
        return replace(self, size=tuple(size) if isinstance(size, Iterable) else (size, size))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object that `from_dict` turns back."""
        return {name: _plain(value) for name, value in asdict(self).items() if not name.startswith("_")}

    @staticmethod
    def from_dict(description: dict[str, Any]) -> Preprocessing:
        """Inverse of `to_dict`."""
        known: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in description.items()}
        return Preprocessing(**known)

    @staticmethod
    def from_timm(config: dict[str, Any], resize: str) -> Preprocessing:
        """From timm's resolved data configuration."""
        channels, height, width = config["input_size"]
        mean, std = (tuple(float(v) for v in config[key]) for key in ("mean", "std"))
        if channels not in (1, 3) or len(mean) != len(std) or len(mean) not in (1, channels):
            raise PreprocessingError(
                f"the checkpoint has {channels} input channels and a mean of {len(mean)}, where images give 3 or 1: "
                "pass a transform with preprocessing="
            )
        interpolation = config["interpolation"]
        return Preprocessing(
            size=(height, width),
            mean=mean if len(mean) == channels else mean * channels,
            std=std if len(std) == channels else std * channels,
            interpolation="bilinear" if interpolation == "random" else interpolation,
            resize=resize,
            crop_pct=float(config["crop_pct"]),
            crop_mode=config["crop_mode"],
        )


@dataclass(frozen=True)
class TransformPreprocessing:
    """A user's own transform: a callable from an RGB picture to a float tensor (channels, H, W)."""

    takes: ClassVar[str] = "images"

    transform: Callable[[Image.Image], torch.Tensor]

    def image(self, image: Image.Image) -> torch.Tensor:
        """What the user's transform makes of one picture."""
        tensor = self.transform(image)
        if not isinstance(tensor, torch.Tensor) or not math.prod(tensor.shape):
            kind = type(tensor).__name__
            raise PreprocessingError(f"the transform returned {kind}, not a tensor: end it with ToTensor() or the like")
        return tensor

    def batch(self, images: Sequence[torch.Tensor]) -> torch.Tensor:
        """B tensors of one shape, stacked as float32."""
        shapes = {tuple(image.shape) for image in images}
        if len(shapes) > 1:
            raise PreprocessingError(f"the transform returned tensors of several shapes {sorted(shapes)}: resize in it")
        return torch.stack(list(images)).float()

    def to_dict(self) -> dict[str, Any]:
        """The transform's printed form, without addresses in memory: it cannot be turned back."""
        return {"transform": re.sub(r" at 0x[0-9a-fA-F]+", "", repr(self.transform))}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
