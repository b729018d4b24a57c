"""From bytes, arrays or any picture of Pillow's to an RGB picture of 8 bits a channel."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from head2toe.errors import DataFormatError, UnreadableImageError, one_line

_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
_BACKGROUND = (255, 255, 255)
_TURNS = {  # EXIF's orientation, and what sets it right; Pillow's way would also pack the (damaged) EXIF data again
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DAMAGED = "head2toe: damaged"  # a key of a picture's `info`
_TAKEN = "a path, a PIL image, a uint8 array (h, w[, 3]) or a tensor (3, h, w), uint8 or float in [0, 1]"


def decode(data: bytes, name: str) -> Image.Image:
    """Decode an image file.

    Parameters
    ----------
    data
        The whole file.
    name
        For the error message.

    Returns
    -------
    The first frame, upright by its EXIF orientation, in RGB: see `to_rgb`.

    Raises
    ------
    UnreadableImageError
        Empty, truncated, damaged, of an unknown format, or so large that Pillow takes it for an attack.
    """
    if not data:
        raise UnreadableImageError(f"{name}: the file is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return to_rgb(_upright(load(image)))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on a damaged file
        raise UnreadableImageError(f"{name}: {_cause(error)}") from error


def picture(item: Any, name: str) -> Image.Image:
    """Turn one picture, array or tensor into RGB.

    Raises
    ------
    UnreadableImageError
        A picture that Pillow opened but cannot decode.
    DataFormatError
        An array or tensor of another shape, type or range; or something else.
    """
    if isinstance(item, Image.Image):
        if not all(item.size):
            raise DataFormatError(f"{name} has {item.width} x {item.height} pixels: there is nothing to see")
        try:
            return to_rgb(_upright(load(item)))
        except MemoryError:
            raise
        except Exception as error:  # it may be a file that has not been decoded yet
            raise UnreadableImageError(f"{name}: {_cause(error)}") from error
    if is_tensor(item):
        return to_rgb(_from_array(_channels_last(item, name), name))
    if isinstance(item, np.ndarray):
        return to_rgb(_from_array(item, name))
    raise DataFormatError(f"{name} is a {type(item).__name__}: an image is {_TAKEN}")


def load(image: Image.Image) -> Image.Image:
    """The same picture, its pixels read.

    Of a file with damaged data Pillow complains once; asked again, it hands out what it had by then, the rest black.

    Raises
    ------
    OSError, ...
        Whatever Pillow raises, each time.
    """
    if _DAMAGED in image.info:
        raise OSError(image.info[_DAMAGED])
    try:
        image.load()
    except OSError as error:
        if not getattr(image, "tile", None):  # nothing is left that it would read, and complain of, again
            image.info[_DAMAGED] = one_line(error)
        raise
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB.

    Transparent pixels are laid over white. 16 bits are scaled to 8 (divided by 257 and rounded). 32-bit whole numbers
    within 16 bits are taken as such; other 32-bit numbers are stretched from their least to their greatest value,
    except floats within [0, 1], where 1 becomes 255.

    Raises
    ------
    ValueError
        Pillow cannot convert the mode, or a float image has NaN or infinity.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    deep = image.mode == "I" or image.mode.startswith("I;16")  # Pillow would clip it before it lays it over white
    if image.mode in _ALPHA or ("transparency" in image.info and not deep):
        pixels = image.convert("RGBA")
        below = Image.new("RGBA", pixels.size, (*_BACKGROUND, 255))
        return Image.alpha_composite(below, pixels).convert("RGB")
    if deep:
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_floats(np.asarray(image))).convert("RGB")
    return image.convert("RGB")


def is_tensor(item: Any) -> bool:
    """Tell a torch tensor without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(item, torch.Tensor)


def values_of(tensor: Any, name: str) -> npt.NDArray[Any]:
    """The values of a torch tensor; those of bfloat16, which NumPy does not know, as float32.

    Raises
    ------
    DataFormatError
        It is sparse, or on the meta device.
    """
    if tensor.is_meta or str(tensor.layout) != "torch.strided":
        raise DataFormatError(f"{name}: the tensor is sparse or has no values: pass a dense one")
    values = tensor.detach().cpu()
    return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF data do not make an image unreadable
        return image
    return image if turn is None else image.transpose(turn)


def _eight_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if values.dtype.itemsize > 2 and (values.min() < 0 or values.max() > 65535):
        return _stretched(values.astype(np.float64))
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _floats(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    if not np.isfinite(values).all():
        raise ValueError("pixels are NaN or infinite")
    if values.min() >= 0 and values.max() <= 1:
        return np.rint(values * 255).astype(np.uint8)
    return _stretched(values.astype(np.float64))


def _stretched(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    span = values.max() - values.min()
    return np.rint((values - values.min()) * (255 / span if span else 0)).astype(np.uint8)


def _channels_last(tensor: Any, name: str) -> npt.NDArray[Any]:
    """A tensor (3 or 1, h, w) or (h, w), uint8 or float in [0, 1], as a uint8 array."""
    array = values_of(tensor, name)
    if array.dtype.kind == "f":
        if not ((array >= 0) & (array <= 1)).all():
            raise DataFormatError(f"{name}: float tensors must lie in [0, 1]: pass pixels before any normalisation")
        array = np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return array.transpose(1, 2, 0)
    if array.ndim == 2:
        return array
    raise DataFormatError(f"{name} is a tensor of shape {array.shape}: an image is {_TAKEN}")


def _from_array(array: npt.NDArray[Any], name: str) -> Image.Image:
    if array.dtype != np.uint8:
        raise DataFormatError(f"{name} has dtype {array.dtype}: use uint8 with 0 .. 255, or a float tensor in [0, 1]")
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)) or not array.size:
        raise DataFormatError(f"{name} has shape {array.shape}: an image is {_TAKEN}")
    return Image.fromarray(np.ascontiguousarray(array))


def _cause(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a format that Pillow reads"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        times = "twice " if isinstance(error, Image.DecompressionBombError) else ""
        return f"more pixels than {times}the {Image.MAX_IMAGE_PIXELS:,} of Pillow's Image.MAX_IMAGE_PIXELS"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return one_line(error)
